//! A node that stands before another one and changes what it likes of its answers.

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What becomes of an answer: method, parameters, and the result or the error as JSON-RPC has it.
type Rule = dyn Fn(&str, &Value, Value) -> Value + Send + Sync;

/// How long the node is busy with a call of a method.
type Effort = dyn Fn(&str) -> Duration + Send + Sync;

/// A call as it came to the node, or its answer as it left.
#[derive(Clone, Debug)]
pub enum Passed {
    /// Method and parameters.
    Came(String, Value),
    /// Method, and the result or the error.
    Left(String, Value),
}

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
    effort: Mutex<Option<Arc<Effort>>>,
    /// Held while it does one thing, where it does one at a time.
    turn: tokio::sync::Mutex<()>,
    passed: Mutex<Vec<Passed>>,
}

impl Behind {
    fn passed(&self) -> MutexGuard<'_, Vec<Passed>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn effort(&self) -> Option<Arc<Effort>> {
        let effort = self.effort.lock().unwrap_or_else(PoisonError::into_inner);
        effort.clone()
    }

    /// Passes a request on, when its turn has come.
    async fn ask(&self, request: &Value) -> Value {
        let effort = self.effort();
        let _turn = match &effort {
            Some(_) => Some(self.turn.lock().await),
            None => None,
        };
        if let Some(effort) = effort {
            let takes = calls(request).iter().map(|call| effort(method(call)));
            tokio::time::sleep(takes.sum()).await;
        }
        let reply = self.client.post(&self.url).json(request).send().await;
        match reply {
            Ok(reply) => reply.json().await.unwrap_or(Value::Null),
            Err(_) => Value::Null,
        }
    }
}

/// The calls of a request.
fn calls(request: &Value) -> &[Value] {
    match request {
        Value::Array(calls) => calls,
        call => std::slice::from_ref(call),
    }
}

fn method(call: &Value) -> &str {
    call["method"].as_str().unwrap_or_default()
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
            effort: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            passed: Mutex::default(),
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

    /// From now on it does one thing at a time, in the order of their coming, and each call keeps it busy
    /// for so long.
    pub fn do_one_thing_at_a_time(
        &self,
        effort: impl Fn(&str) -> Duration + Send + Sync + 'static,
    ) {
        let effort: Arc<Effort> = Arc::new(effort);
        *self
            .behind
            .effort
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(effort);
    }

    /// Every call and every answer since this was asked last, in their order.
    pub fn take_passed(&self) -> Vec<Passed> {
        std::mem::take(&mut *self.behind.passed())
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
    for call in calls(&request) {
        let came = Passed::Came(method(call).to_owned(), call["params"].clone());
        behind.passed().push(came);
    }
    let reply = behind.ask(&request).await;
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
        let method = method(request);
        let mut changed = rule(
            method,
            &request["params"],
            json!({ part: reply[part].take() }),
        );
        let left = Passed::Left(method.to_owned(), changed.clone());
        behind.passed().push(left);
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
