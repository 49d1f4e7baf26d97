//! `tallyscan serve`.

use crate::{
    Failure,
    cli::{ApiArgs, ServeArgs},
    connect, shutdown,
};
use explorer_api::{ApiConfig, InternalKey, Server};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use store::schema::{self, SchemaError};

/// Connections of one API process.
const CONNECTIONS: u32 = 16;

/// Blocks behind the node's head from which the API calls the index degraded.
const LAG_LIMIT_BLOCKS: u64 = 16;

/// A sign of life older than this means that no indexer runs.
const LAG_LIMIT: Duration = Duration::from_secs(30);

/// Serves the API until it is stopped.
pub(crate) async fn run(args: ServeArgs) -> Result<(), Failure> {
    let (setting, url) = match &args.database_read_url {
        Some(url) => ("DATABASE_READ_URL", url),
        None => ("DATABASE_URL", &args.database_url),
    };
    let shutdown = shutdown::on_signal()?;
    let server = bind(
        setting,
        url,
        args.redis_url,
        args.listen_addr,
        args.api,
        connect::metrics()?,
    )
    .await?;
    tracing::info!(address = %server.local_addr(), "serving the API");
    server
        .run(shutdown.cancelled_owned())
        .await
        .map_err(|error| Failure::Failed(error.to_string()))
}

/// Binds the API to a database that is read from, and warns about one that could be written to.
pub(crate) async fn bind(
    setting: &str,
    database_url: &str,
    redis_url: String,
    listen: SocketAddr,
    api: ApiArgs,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
) -> Result<Server, Failure> {
    connect::check_redis_url(&redis_url)?;
    let internal_key = internal_key(&api)?;
    let abi_dir = abi_dir(api)?;
    let database = connect::database_lazily(setting, database_url, CONNECTIONS)?;
    match schema::check(&database).await {
        Ok(()) => warn_if_writable(setting, &database).await,
        Err(SchemaError::Database(error)) if refuses(&error) => {
            return Err(Failure::Unusable(format!(
                "{setting}: the database refuses: {error}"
            )));
        }
        // The API also starts before its database does.
        Err(SchemaError::Database(error)) => {
            tracing::warn!(%error, "{setting}: the database does not answer yet");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Server::bind(ApiConfig {
        listen,
        database,
        redis_url,
        lag_limit_blocks: LAG_LIMIT_BLOCKS,
        lag_limit: LAG_LIMIT,
        abi_dir,
        internal_key,
        metrics,
    })
    .await?)
}

/// The key, if there is one; what is wrong with it is said without repeating it.
fn internal_key(api: &ApiArgs) -> Result<Option<InternalKey>, String> {
    let key = api.internal_api_key.as_deref().map(InternalKey::new);
    key.transpose()
        .map_err(|reason| format!("INTERNAL_API_KEY: cannot be used: {reason}"))
}

/// The folder of ABIs, if there is one; a misspelt one would otherwise only be missed.
fn abi_dir(api: ApiArgs) -> Result<Option<PathBuf>, String> {
    match api.abi_dir {
        Some(path) if !path.is_dir() => Err(format!(
            "ABI_DIR: {} is no folder that can be read: the path of a folder is accepted",
            path.display()
        )),
        path => Ok(path),
    }
}

/// Whether the server answered, and will not let us in however long we wait: a login that is not
/// accepted (class 28), a database that is not there (3D000).
fn refuses(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("28") || code == "3D000")
}

async fn warn_if_writable(setting: &str, database: &sqlx::PgPool) {
    let writable = sqlx::query_scalar::<_, bool>(
        "SELECT has_table_privilege(current_user, 'blocks', 'INSERT')",
    );
    if let Ok(true) = writable.fetch_one(database).await {
        tracing::warn!(
            "{setting}: this login may write; every query is read-only all the same, but give the \
             API a login of its own (CREATE ROLE … LOGIN IN ROLE app_readonly)"
        );
    }
}
