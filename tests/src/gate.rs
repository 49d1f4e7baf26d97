//! A door in front of a server, to take it away and to bring it back at the same address.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use url::Url;

/// Forwards connections while it is open; while it is closed it cuts them off at once.
pub struct Gate {
    port: u16,
    target: Arc<AtomicU16>,
    open: Arc<watch::Sender<bool>>,
    task: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gate {
    /// A gate in front of a local port.
    pub async fn new(target: u16, open: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let open = Arc::new(watch::Sender::new(open));
        let state = open.clone();
        let target = Arc::new(AtomicU16::new(target));
        let behind = target.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let open = state.subscribe();
                if *open.borrow() {
                    tokio::spawn(forward(client, behind.load(Ordering::Relaxed), open));
                }
            }
        });
        Self {
            port,
            target,
            open,
            task,
        }
    }

    /// A URL of the server with the gate's address in it.
    #[must_use]
    pub fn url(&self, server_url: &str) -> String {
        let mut url = Url::parse(server_url).expect("a URL");
        url.set_port(Some(self.port)).expect("a URL with a port");
        url.into()
    }

    /// Forwards new connections to another local port: the server came back there.
    pub fn turn_to(&self, port: u16) {
        self.target.store(port, Ordering::Relaxed);
    }

    /// Cuts off every connection and takes no more.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn forward(mut client: TcpStream, target: u16, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
