//! Asks Postgres whether it accepts connections, as `pg_isready` does, without starting a program.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Protocol version 3.0 (PostgreSQL documentation, "Message Formats", StartupMessage).
const PROTOCOL: u32 = 196_608;

/// True when the server asks for a password, which it does only once it accepts sessions; while it is
/// starting or recovering it answers with an error instead.
pub(crate) async fn accepts_sessions(port: u16, user: &str) -> bool {
    first_byte(port, user).await.is_ok_and(|kind| kind == b'R')
}

async fn first_byte(port: u16, user: &str) -> std::io::Result<u8> {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for text in ["user", user, "database", "postgres"] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    // The length counts itself.
    let length = u32::try_from(body.len() + 4).map_err(std::io::Error::other)?;
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket
        .write_all(&[&length.to_be_bytes()[..], &body].concat())
        .await?;
    socket.read_u8().await
}
