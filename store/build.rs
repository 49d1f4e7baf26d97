//! The schema is embedded: a new migration must rebuild this crate.
fn main() {
    println!("cargo:rerun-if-changed=../migrations");
    println!("cargo:rerun-if-changed=../timescale");
}
