# Sourced by scripts/setup: messages, logs, and acting as the repository's owner.

say() {
    printf 'setup: %s\n' "$*"
}

die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" > /dev/null 2>&1
}

is_root() {
    [ "$(id -u)" = 0 ]
}

# One temporary folder for logs and builds. Kept when a step fails, so that its log can be read.
work=
workspace() {
    [ -n "$work" ] || work=$(mktemp -d "${TMPDIR:-/tmp}/tallyscan-setup.XXXXXX")
}

cleanups=
on_exit() {
    cleanups="$1; $cleanups"
}
finish() {
    status=$?
    trap - EXIT
    eval "$cleanups"
    if [ -n "$work" ] && [ "$status" = 0 ]; then
        rm -rf "$work"
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# try NAME COMMAND...: runs quietly; on failure says where the log is, shows its end, returns 1.
try() {
    workspace
    log=$work/$1.log
    shift
    if "$@" > "$log" 2>&1 < /dev/null; then
        return 0
    fi
    printf 'setup: this failed: %s\n' "$*" >&2
    tail -n 15 "$log" | sed 's/^/    /' >&2
    printf 'setup: the whole log: %s\n' "$log" >&2
    return 1
}

# Under sudo the repository and the Rust toolchain belong to the person who called: what is written
# there must not end up owned by root, and their own cargo is the one that counts.
owner=$(stat -c %U "$repo" 2> /dev/null || id -un)
if is_root && [ "$owner" != root ] && [ "$owner" != UNKNOWN ]; then
    owner_home=$(getent passwd "$owner" | cut -d: -f6)
    as_owner() {
        runuser -u "$owner" -- env HOME="$owner_home" PATH="$owner_home/.cargo/bin:$PATH" "$@"
    }
else
    as_owner() {
        env PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH" "$@"
    }
fi
