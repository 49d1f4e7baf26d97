//! A node that stands before another one and changes what it likes of its answers.

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What becomes of an answer: method, parameters, and the result or the error as JSON-RPC has it.
type Rule = dyn Fn(&str, &Value, Value) -> Value + Send + Sync;

/// A JSON-RPC node over HTTP that passes everything on.
pub struct NodeProxy {
    url: String,
    behind: Arc<Behind>,
    task: JoinHandle<()>,
}

struct Behind {
    url: String,
    client: reqwest::Client,
    rule: Mutex<Arc<Rule>>,
}

impl Drop for NodeProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NodeProxy {
    /// Stands before the node at a URL.
    pub async fn before(url: &str) -> Self {
        let behind = Arc::new(Behind {
            url: url.to_owned(),
            client: reqwest::Client::new(),
            rule: Mutex::new(Arc::new(|_: &str, _: &Value, reply| reply)),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new()
            .route("/", post(answer))
            .with_state(behind.clone());
        let task = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("the proxy serves");
        });
        Self { url, behind, task }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// From now on, what becomes of each answer: a rule gets method, parameters and
    /// `{"result": …}` or `{"error": …}`, and returns one of both.
    pub fn set_rule(&self, rule: impl Fn(&str, &Value, Value) -> Value + Send + Sync + 'static) {
        *self
            .behind
            .rule
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(rule);
    }

    /// From now on everything is passed on.
    pub fn be_honest(&self) {
        self.set_rule(|_, _, reply| reply);
    }

    /// From now on some methods do not exist.
    pub fn lack(&self, methods: &'static [&'static str]) {
        self.set_rule(move |method, _, reply| {
            if methods.contains(&method) {
                json!({ "error": { "code": -32601, "message": "method not found" } })
            } else {
                reply
            }
        });
    }
}

async fn answer(State(behind): State<Arc<Behind>>, Json(request): Json<Value>) -> Json<Value> {
    let reply = behind.client.post(&behind.url).json(&request).send().await;
    let reply: Value = match reply {
        Ok(reply) => reply.json().await.unwrap_or(Value::Null),
        Err(_) => Value::Null,
    };
    let rule = behind
        .rule
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let change = |request: &Value, mut reply: Value| {
        let id = reply["id"].take();
        let part = if reply.get("error").is_some() {
            "error"
        } else {
            "result"
        };
        let method = request["method"].as_str().unwrap_or_default();
        let mut changed = rule(
            method,
            &request["params"],
            json!({ part: reply[part].take() }),
        );
        changed["jsonrpc"] = json!("2.0");
        changed["id"] = id;
        changed
    };
    Json(match (&request, reply) {
        (Value::Array(requests), Value::Array(replies)) => {
            let by_id =
                |reply: &Value| requests.iter().find(|request| request["id"] == reply["id"]);
            let changed = replies
                .into_iter()
                .map(|reply| match by_id(&reply).cloned() {
                    Some(request) => change(&request, reply),
                    None => reply,
                });
            Value::Array(changed.collect())
        }
        (request, reply) => change(request, reply),
    })
}
