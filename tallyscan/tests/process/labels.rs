//! The wallet directory from the command line.

use crate::program::{Program, free_address, run};
use std::{fs, time::Duration};
use tallyscan_tests::{Database, folder};

const GOOD: &str = "address,label,category,visibility,owner,note\n\
    0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed,\"Exchange, hot\",exchange,public,,=1+1\n\
    0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359,Customer 7,customer,internal,Acme,\n";
const SECRET: &str = "hunter2secret";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_imports_again_without_a_change() {
    let (folder, database) = (folder(), Database::create().await);
    let settings = [("DATABASE_URL", &*database.url), ("RUST_LOG", "off")];
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("in.csv"), GOOD).expect("a file");
    let said = |(code, stdout, stderr): (i32, String, String)| {
        assert_eq!((code, &*stderr), (0, ""), "{stdout}");
        stdout.trim_end().to_owned()
    };
    let command = format!("labels import {} --dry-run", at("in.csv"));
    let rehearsed = said(run(&folder, &command, &settings).await);
    assert_eq!(
        rehearsed,
        "2 added, 0 changed, 0 unchanged, 0 removed (dry run: nothing was written)"
    );
    let command = format!("labels import {}", at("in.csv"));
    assert_eq!(
        said(run(&folder, &command, &settings).await),
        "2 added, 0 changed, 0 unchanged, 0 removed"
    );
    for name in ["out.csv", "out.json"] {
        let command = format!("labels export --out {}", at(name));
        said(run(&folder, &command, &settings).await);
        let command = format!("labels import {} --replace", at(name));
        let again = said(run(&folder, &command, &settings).await);
        assert_eq!(again, "0 added, 0 changed, 2 unchanged, 0 removed");
    }
    assert_eq!(fs::read_to_string(at("out.csv")).expect("a file"), GOOD);
    let public = said(run(&folder, "labels export --visibility public", &settings).await);
    assert!(
        public.contains("Exchange") && !public.contains("Customer"),
        "{public}"
    );
    let json = said(run(&folder, "labels export --format json", &settings).await);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["label"], "Exchange, hot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_bad_row_imports_nothing() {
    let (folder, database) = (folder(), Database::create().await);
    let settings = [("DATABASE_URL", &*database.url), ("RUST_LOG", "off")];
    let path = folder.path().join("in.csv");
    fs::write(
        &path,
        format!("{GOOD}0x12,x,y,public,,\n0x12,x,y,nobody,,\n"),
    )
    .expect("a file");
    let command = format!("labels import {}", path.display());
    let (code, stdout, stderr) = run(&folder, &command, &settings).await;
    assert_eq!((code, &*stdout), (2, ""), "{stderr}");
    for words in [
        "line 4: ",
        "line 5: ",
        "40 hex digits",
        "2 rows are not accepted: nothing was imported",
    ] {
        assert!(stderr.contains(words), "{stderr}");
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM labels")
        .fetch_one(&database.pool)
        .await
        .expect("a count");
    assert_eq!(rows, 0);
    for (command, words) in [
        ("labels import nowhere.csv", "nowhere.csv: cannot be read"),
        ("labels import labels.txt", "--format"),
        ("labels export --visibility secret", "public and internal"),
    ] {
        let (code, _, stderr) = run(&folder, command, &settings).await;
        assert_eq!(code, 2, "{stderr}");
        assert!(
            stderr.contains(words) && stderr.trim_end().lines().count() == 1,
            "{stderr}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_or_a_folder_that_cannot_be_used_is_told_and_the_key_is_not() {
    let (folder, database) = (folder(), Database::create().await);
    let address = free_address();
    let base = [
        ("DATABASE_URL", &*database.url),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("LISTEN_ADDR", &*address),
    ];
    for (name, value, words) in [
        ("INTERNAL_API_KEY", SECRET, "16 to 256"),
        (
            "INTERNAL_API_KEY",
            "hunter2secret hunter2secret",
            "without spaces",
        ),
        ("INTERNAL_API_KEY", "", "16 to 256"),
        ("ABI_DIR", "/nowhere/at/all", "folder"),
    ] {
        let settings = [&base[..], &[(name, value), ("RUST_LOG", "off")]].concat();
        let (code, _, stderr) = run(&folder, "serve", &settings).await;
        assert_eq!(code, 2, "{stderr}");
        assert!(
            stderr.starts_with(&format!("tallyscan: {name}: ")),
            "{stderr}"
        );
        assert!(
            stderr.contains(words) && !stderr.contains(SECRET),
            "{stderr}"
        );
    }
    let key = format!("{SECRET}-{SECRET}");
    let settings = [
        &base[..],
        &[("INTERNAL_API_KEY", &*key), ("RUST_LOG", "trace")],
    ]
    .concat();
    let (_, help, _) = run(&folder, "serve --help", &settings).await;
    assert!(
        help.contains("INTERNAL_API_KEY") && !help.contains(SECRET),
        "{help}"
    );
    let mut program = Program::start(&folder, "serve", &settings);
    program.says("serving the API").await;
    let reply = reqwest::Client::new()
        .get(format!("http://{address}/api/v1/blocks"))
        .bearer_auth(&key)
        .send()
        .await;
    assert_eq!(reply.expect("an answer").status().as_u16(), 503);
    program.signal(nix::sys::signal::Signal::SIGTERM);
    program.ends_within(Duration::from_secs(20)).await;
    let said = program.stdout() + &program.stderr();
    assert!(!said.contains(SECRET), "{said}");
}
