//! Where the machine keeps the programs.

use std::env;
use std::path::{Path, PathBuf};

use crate::StartError;

/// One installation of Postgres.
#[derive(Debug, Clone)]
pub(crate) struct PostgresPrograms {
    bin: PathBuf,
    pub(crate) timescaledb: bool,
    major: Option<u32>,
}

impl PostgresPrograms {
    /// `PG_BIN` names the folder and ends the discussion. Else the newest version that has TimescaleDB,
    /// else the newest; data that is already there can only be read by the version that made it.
    pub(crate) fn find(data: &Path) -> Result<Self, StartError> {
        let made_by =
            std::fs::read_to_string(data.join("PG_VERSION")).map(|text| text.trim().to_owned());
        if let Some(bin) = env::var_os("PG_BIN").filter(|bin| !bin.is_empty()) {
            let bin = PathBuf::from(bin);
            return Self::at(bin.clone(), None).ok_or_else(|| StartError::MissingProgram {
                program: format!("Postgres in PG_BIN={}", bin.display()),
            });
        }
        let mut found = installed_postgres();
        if found.is_empty() {
            return Err(StartError::MissingProgram {
                program: "Postgres".to_owned(),
            });
        }
        if let Ok(major) = made_by {
            return found
                .into_iter()
                .find(|one| one.major.is_none_or(|number| number.to_string() == major))
                .ok_or_else(|| StartError::MissingMajor {
                    folder: data.to_owned(),
                    major,
                });
        }
        found.sort_by_key(|one| (one.timescaledb, one.major));
        found.pop().ok_or_else(|| StartError::MissingProgram {
            program: "Postgres".to_owned(),
        })
    }

    fn at(bin: PathBuf, major: Option<u32>) -> Option<Self> {
        if !(bin.join("postgres").is_file() && bin.join("initdb").is_file()) {
            return None;
        }
        // Distributions and the project's own builds differ in one level of folders.
        let timescaledb = ["../lib/timescaledb.so", "../lib/postgresql/timescaledb.so"]
            .iter()
            .any(|library| bin.join(library).is_file());
        Some(Self {
            bin,
            timescaledb,
            major,
        })
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

fn installed_postgres() -> Vec<PostgresPrograms> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let packaged = versions.filter_map(|entry| {
        let major = entry.file_name().to_str()?.parse().ok()?;
        PostgresPrograms::at(entry.path().join("bin"), Some(major))
    });
    let mut found: Vec<_> = packaged.collect();
    if found.is_empty() {
        found.extend(on_path("postgres").and_then(|program| {
            // Through links, since PATH often holds only those.
            let bin = std::fs::canonicalize(program).ok()?.parent()?.to_owned();
            PostgresPrograms::at(bin, None)
        }));
    }
    found
}

/// Redis, or what has taken its place in some distributions; both speak the same protocol.
pub(crate) fn redis_server() -> Result<PathBuf, StartError> {
    ["redis-server", "valkey-server"]
        .into_iter()
        .find_map(on_path)
        .ok_or_else(|| StartError::MissingProgram {
            program: "redis-server".to_owned(),
        })
}

/// `ANVIL_BIN`, else what scripts/setup installed, else PATH.
pub(crate) fn anvil() -> Result<PathBuf, StartError> {
    if let Some(path) = env::var_os("ANVIL_BIN").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        return Err(StartError::MissingProgram {
            program: format!("ANVIL_BIN={}", path.display()),
        });
    }
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules");
    let machine = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    // The platform package holds the program itself; the command in .bin is a node script around it,
    // which would stand between us and the process that we signal.
    let packaged = modules.join(format!("@foundry-rs/anvil-linux-{machine}/bin/anvil"));
    [packaged, modules.join(".bin/anvil")]
        .into_iter()
        .find(|path| path.is_file())
        .or_else(|| on_path("anvil"))
        .ok_or_else(|| StartError::MissingProgram {
            program: "anvil".to_owned(),
        })
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
