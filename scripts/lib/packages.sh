# Sourced by scripts/setup: the distribution's packages.

updated=
apt_update() {
    [ -z "$updated" ] || return 0
    updated=yes
    say "updating the package lists"
    # One broken third-party source must not stop packages that come from elsewhere.
    try apt-update apt-get update -q || say "going on with the package lists that are there"
}

# apt_install LABEL PACKAGE...
apt_install() {
    apt_update
    label=$1
    shift
    say "installing $label"
    try "apt-install-$1" apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

missing_build_tools() {
    # A C compiler with its headers links Rust and builds the assembly in its cryptography crates.
    if ! { has cc && has make && [ -e /usr/include/stdio.h ]; }; then
        echo "build tools (gcc, make, libc headers)"
    fi
}
install_build_tools() {
    apt_install "build tools" gcc make libc6-dev ca-certificates || exit 1
}

missing_redis() {
    has redis-server || echo "redis-server"
}
install_redis() {
    apt_install "Redis" redis-server || exit 1
}

missing_node() {
    if ! { has node && has npm; }; then
        echo "node and npm"
    fi
}
install_node() {
    # Where node comes from elsewhere (an image, another repository), that one brings its own npm.
    apt_install "node and npm" nodejs || exit 1
    has npm || apt_install "npm" npm || exit 1
}
