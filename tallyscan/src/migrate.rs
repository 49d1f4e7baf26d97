//! `tallyscan migrate`.

use crate::{Failure, cli::DatabaseArgs, connect};

/// Brings the database to this program's schema.
pub(crate) async fn run(args: DatabaseArgs) -> Result<(), Failure> {
    let pool = connect::database("DATABASE_URL", &args.database_url, 2).await?;
    let edition = store::schema::migrate(&pool, args.timescale).await?;
    println!(
        "schema version {} on {edition}",
        store::schema::latest_version()
    );
    Ok(())
}
