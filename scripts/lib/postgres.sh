# Sourced by scripts/setup: PostgreSQL and TimescaleDB.
#
# Debian 13 and later package TimescaleDB. Debian 12 does not, so the later release's source package is
# built against PostgreSQL 15: source, because its binaries would pull in a newer libc. Anywhere else,
# or when the build fails, plain PostgreSQL serves: results are the same, only speed and size differ.

postgres_root=/usr/lib/postgresql
# Says why TimescaleDB cannot be had, so that the next run does not try the same build again.
timescaledb_refused=/var/lib/tallyscan/no-timescaledb

postgres_majors() {
    for bin in "$postgres_root"/*/bin/postgres; do
        if [ -x "$bin" ]; then
            bin=${bin#"$postgres_root/"}
            echo "${bin%%/*}"
        fi
    done | sort -n
}

has_timescaledb() {
    [ -e "/usr/share/postgresql/$1/extension/timescaledb.control" ] &&
        [ -e "$postgres_root/$1/lib/timescaledb.so" ]
}

missing_postgres() {
    [ -n "$(postgres_majors)" ] || echo "postgresql"
}

missing_timescaledb() {
    for major in $(postgres_majors); do
        if has_timescaledb "$major"; then
            return 0
        fi
    done
    [ -e "$timescaledb_refused" ] || echo "timescaledb"
}

# Debian's packages create and start a system-wide cluster when first installed. Tallyscan starts its
# own private ones, so that is switched off for the moment of installing, and only for that.
without_main_cluster() {
    folder=/etc/postgresql-common/createcluster.d
    switch=$folder/tallyscan-setup.conf
    mkdir -p "$folder"
    echo "create_main_cluster = false" > "$switch"
    on_exit "rm -f $switch"
}

timescaledb_package() {
    apt-cache search --names-only '^postgresql-[0-9]+-timescaledb$' | awk '{print $1}' | sort -V | tail -n 1
}

install_postgres() {
    without_main_cluster
    apt_update
    package=$(timescaledb_package)
    if [ -n "$package" ]; then
        apt_install "PostgreSQL with TimescaleDB ($package)" "$package" || exit 1
    else
        apt_install "PostgreSQL" postgresql || exit 1
    fi
}

install_timescaledb() {
    without_main_cluster
    apt_update
    package=$(timescaledb_package)
    if [ -n "$package" ] && apt_install "TimescaleDB ($package)" "$package"; then
        return 0
    fi
    build_timescaledb "$(postgres_majors | tail -n 1)" && return 0
    say "no TimescaleDB for this machine: plain PostgreSQL will be used (rm $timescaledb_refused to try again)"
    mkdir -p "$(dirname "$timescaledb_refused")"
    date -u > "$timescaledb_refused"
}

build_timescaledb() {
    major=$1
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    # Only Debian's own archive holds the source package, and only its keyring can vouch for it.
    [ -e "$keyring" ] || return 1
    archive=$(debian_archive)
    [ -n "$archive" ] || return 1
    apt_install "what TimescaleDB is built with" "postgresql-server-dev-$major" cmake gcc make xz-utils || return 1
    workspace
    build=$work/timescaledb
    mkdir -p "$build/apt/lists/partial" "$build/apt/archives/partial" "$build/source"
    # A private apt configuration: the machine's own sources stay as they are.
    cat > "$build/apt/source.sources" << END
Types: deb-src
URIs: $archive
Suites: trixie
Components: main
Signed-By: $keyring
END
    say "building TimescaleDB for PostgreSQL $major"
    try source-lists private_apt "$build/apt" update || return 1
    (cd "$build" && try source-download private_apt "$build/apt" source --download-only timescaledb) || return 1
    tar -xf "$build"/timescaledb_*.orig.tar.* -C "$build/source" --strip-components=1 || return 1
    # The source package carries the Apache part only.
    try cmake cmake -S "$build/source" -B "$build/out" -DCMAKE_BUILD_TYPE=Release -DAPACHE_ONLY=1 \
        -DREGRESS_CHECKS=OFF -DTAP_CHECKS=OFF -DUSE_TELEMETRY=OFF -DSEND_TELEMETRY_DEFAULT=OFF \
        -DPG_CONFIG="$postgres_root/$major/bin/pg_config" || return 1
    try build make -C "$build/out" -j "$(nproc)" || return 1
    try install make -C "$build/out" install || return 1
    has_timescaledb "$major"
}

# The archive this machine already installs Debian from.
debian_archive() {
    # shellcheck disable=SC2016 # apt fills these in.
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 'Created-By: Packages' |
        awk -F'|' '$1 == "Debian" && $2 == "Debian" {print $3; exit}'
}

private_apt() {
    folder=$1
    shift
    # The user that apt downloads as cannot enter a private temporary folder.
    apt-get -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$folder" \
        -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder" \
        -o Dir::Cache::Archives="$folder/archives" -o APT::Sandbox::User=root "$@"
}
