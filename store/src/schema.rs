//! Brings a database to this program's schema, and says what TimescaleDB adds there.

use serde::Serialize;
use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
};
use std::{fmt, str::FromStr};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Hypertables, for every edition.
const HYPERTABLES: &str = include_str!("../../timescale/01_hypertables.sql");
/// What the Community edition adds.
const COMMUNITY: &str = include_str!("../../timescale/02_community.sql");

/// Hypertables that are partitioned by block number.
const BY_NUMBER: [&str; 8] = [
    "blocks",
    "withdrawals",
    "transactions",
    "logs",
    "address_activity",
    "token_transfers",
    "block_credits",
    "internal_transfers",
];

/// Whether TimescaleDB is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimescaleMode {
    /// When the server has it.
    Auto,
    /// Always: a server without it is an error.
    Require,
    /// Never: plain tables.
    Off,
}

impl FromStr for TimescaleMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "require" => Ok(Self::Require),
            "off" => Ok(Self::Off),
            _ => Err(format!("{text:?}: accepted are auto, require and off")),
        }
    }
}

/// Which TimescaleDB the database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Edition {
    /// None: plain tables.
    Plain,
    /// Hypertables only.
    Apache,
    /// Hypertables, compression, policies, continuous aggregates.
    Community,
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain Postgres",
            Self::Apache => "TimescaleDB, Apache edition",
            Self::Community => "TimescaleDB, Community edition",
        })
    }
}

/// Why a database cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Written by a newer release.
    #[error(
        "the database has schema version {found}, this program knows up to {known}: it was written \
         by a newer release; upgrade this program, or restore the database from before the upgrade"
    )]
    Newer {
        /// The database's version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Not migrated yet.
    #[error(
        "the database has schema version {found}, this program needs {needed}: run `tallyscan migrate`"
    )]
    Older {
        /// The database's version; 0 when it is empty.
        found: i64,
        /// Ours.
        needed: i64,
    },
    /// A migration was changed after it was applied.
    #[error(
        "migration {0} was applied to this database in another form: it belongs to another program \
         or to a development build; use a database of its own"
    )]
    Altered(i64),
    /// TimescaleDB was required.
    #[error(
        "TimescaleDB is required (TIMESCALE=require) and not usable: {0}; install it and add \
         timescaledb to shared_preload_libraries, or use TIMESCALE=auto"
    )]
    Timescale(String),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed.
    #[error("a migration failed: {0}")]
    Migrate(MigrateError),
}

/// The newest schema version this program knows.
#[must_use]
pub fn latest_version() -> i64 {
    MIGRATOR.iter().map(|m| m.version).max().unwrap_or(0)
}

/// The newest version applied to the database; 0 when none is.
async fn applied_version(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let table: Option<String> = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text")
        .fetch_one(pool)
        .await?;
    if table.is_none() {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
        .fetch_one(pool)
        .await
}

/// Compares the database's version with ours and changes nothing.
pub async fn check(pool: &PgPool) -> Result<(), SchemaError> {
    let (found, needed) = (applied_version(pool).await?, latest_version());
    match found.cmp(&needed) {
        std::cmp::Ordering::Less => Err(SchemaError::Older { found, needed }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(SchemaError::Newer {
            found,
            known: needed,
        }),
    }
}

/// Applies what is missing; safe to run again, and by several processes at once.
pub async fn migrate(pool: &PgPool, timescale: TimescaleMode) -> Result<Edition, SchemaError> {
    let (found, known) = (applied_version(pool).await?, latest_version());
    if found > known {
        return Err(SchemaError::Newer { found, known });
    }
    MIGRATOR.run(pool).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => SchemaError::Newer { found, known },
        MigrateError::VersionMismatch(version) => SchemaError::Altered(version),
        other => SchemaError::Migrate(other),
    })?;
    let edition = match timescale {
        TimescaleMode::Off => Edition::Plain,
        TimescaleMode::Auto => match create_extension(pool).await? {
            Ok(edition) => edition,
            Err(reason) => {
                tracing::info!(reason, "TimescaleDB is not used: tables stay plain");
                Edition::Plain
            }
        },
        TimescaleMode::Require => create_extension(pool)
            .await?
            .map_err(SchemaError::Timescale)?,
    };
    if edition != Edition::Plain {
        sqlx::raw_sql(HYPERTABLES).execute(pool).await?;
    }
    if edition == Edition::Community {
        sqlx::raw_sql(COMMUNITY).execute(pool).await?;
    }
    tracing::info!(schema.version = known, %edition, "schema is up to date");
    Ok(edition)
}

/// Turns the extension on; the inner error says why it cannot be.
async fn create_extension(pool: &PgPool) -> Result<Result<Edition, String>, sqlx::Error> {
    let available: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')",
    )
    .fetch_one(pool)
    .await?;
    if !available {
        return Ok(Err("the server does not have it".to_owned()));
    }
    let created = sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS timescaledb")
        .execute(pool)
        .await;
    match created {
        Ok(_) => {}
        Err(sqlx::Error::Database(error)) => return Ok(Err(error.message().to_owned())),
        Err(error) => return Err(error),
    }
    let license: Option<String> =
        sqlx::query_scalar("SELECT current_setting('timescaledb.license', true)")
            .fetch_one(pool)
            .await?;
    Ok(match license.as_deref() {
        Some("timescale") => Ok(Edition::Community),
        Some(_) => Ok(Edition::Apache),
        None => Err("it is installed and not preloaded".to_owned()),
    })
}

/// Sets how many blocks a chunk spans, before there are any.
pub async fn set_chunk_blocks(pool: &PgPool, blocks: u64) -> Result<(), sqlx::Error> {
    let blocks = i64::try_from(blocks).unwrap_or(i64::MAX);
    for table in BY_NUMBER {
        sqlx::query("SELECT set_chunk_time_interval($1::regclass, $2::bigint)")
            .bind(table)
            .bind(blocks)
            .execute(pool)
            .await?;
    }
    Ok(())
}

/// Which edition the database uses now.
pub async fn edition(pool: &PgPool) -> Result<Edition, sqlx::Error> {
    let row: (bool, Option<String>) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb'),
                current_setting('timescaledb.license', true)",
    )
    .fetch_one(pool)
    .await?;
    Ok(match row {
        (true, Some(license)) if license == "timescale" => Edition::Community,
        (true, Some(_)) => Edition::Apache,
        _ => Edition::Plain,
    })
}
