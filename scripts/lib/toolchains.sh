# Sourced by scripts/setup: the dev chain (npm) and Rust. Both belong to the repository's owner.

lockfile=$repo/contracts/package-lock.json
installed_lock=$repo/contracts/node_modules/.installed-lock

missing_dev_chain() {
    wanted=$(sha256sum < "$lockfile")
    if [ "$wanted" != "$(cat "$installed_lock" 2> /dev/null || true)" ]; then
        echo "the dev chain (npm packages of contracts/)"
    fi
}
install_dev_chain() {
    say "installing the dev chain (anvil)"
    # No install scripts: the programs are inside the packages, and nothing else should be downloaded.
    try npm-ci as_owner npm ci --prefix "$repo/contracts" --ignore-scripts --no-audit --no-fund || exit 1
    sha256sum < "$lockfile" | as_owner tee "$installed_lock" > /dev/null
}

rust_wanted() {
    sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$repo/Cargo.toml" | head -n 1
}

# Run inside the repository: rustup chooses the toolchain by folder.
cargo_version() {
    (cd "$repo" && as_owner cargo --version 2> /dev/null) | awk '{print $2; exit}'
}

version_at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

missing_rust() {
    version=$(cargo_version)
    wanted=$(rust_wanted)
    if [ -z "$version" ]; then
        echo "Rust (cargo $wanted or newer)"
    elif ! version_at_least "$version" "$wanted"; then
        echo "Rust $wanted or newer (cargo is $version)"
    elif ! (cd "$repo" && as_owner cargo fmt --version && as_owner cargo clippy --version) > /dev/null 2>&1; then
        echo "rustfmt and clippy"
    fi
}

install_rust() {
    if ! as_owner rustup --version > /dev/null 2>&1; then
        is_root || die "$(missing_rust): run: sudo scripts/setup, or install rustup (https://rustup.rs)"
        apt_update
        if [ -z "$(apt-cache search --names-only '^rustup$')" ] || ! apt_install "rustup" rustup; then
            die "$(missing_rust): install rustup (https://rustup.rs), then run scripts/setup again"
        fi
    fi
    say "installing Rust"
    try rust-toolchain as_owner rustup toolchain install stable --profile minimal \
        --component rustfmt --component clippy || exit 1
    # Only this repository is switched to it; a default that the user has chosen stays theirs.
    if [ -n "$(missing_rust)" ]; then
        try rust-override as_owner rustup override set stable --path "$repo" || exit 1
    fi
    [ -z "$(missing_rust)" ] || die "still missing after installing: $(missing_rust)"
}
