# shellcheck shell=bash
# What the scripts share. Sourced, never run.

# Standard output belongs to results, so everything a person reads goes to standard error.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# Daemons live in sbin, which a plain user's PATH often lacks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Prints those of "program:package" pairs, one package a line, whose program is missing.
missing_packages() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || printf '%s\n' "${pair#*:}"
    done | sort -u
}

# Installs Debian packages without starting their services. Fails where that is impossible; the caller decides what then.
install_packages() {
    (($#)) || return 0
    if ((EUID != 0)); then
        say "missing packages, and only root can install them: $*"
        return 1
    fi
    if ! command -v apt-get >/dev/null; then
        say "missing packages, and there is no apt-get to install them: $*"
        return 1
    fi
    say "installing Debian packages: $*"
    (
        export DEBIAN_FRONTEND=noninteractive
        # Debian's packages start their services on installation unless this file says no.
        if [[ ! -e /usr/sbin/policy-rc.d ]]; then
            trap 'rm -f /usr/sbin/policy-rc.d' EXIT
            printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
            chmod 755 /usr/sbin/policy-rc.d
        fi
        install=(apt-get install -y -qq --no-install-recommends "$@")
        # The index is fetched only where the first try shows that it is missing or out of date.
        "${install[@]}" || { apt-get update -qq && "${install[@]}"; }
    ) </dev/null >&2
}

# Makes sure of a Rust toolchain that is new enough for this crate, with rustfmt and clippy. Expects the crate's folder as
# the working directory.
ensure_rust() {
    local wanted found
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    if ! command -v cargo >/dev/null; then
        say "no Rust toolchain: trying rustup's installer, then the distribution's packages"
        install_rust || die "no Rust toolchain could be installed; get one and come back"
    fi
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(cargo --version | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) == "$wanted" ]] ||
        die "Rust $found is too old, this crate needs $wanted"
    if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        say "adding rustfmt and clippy"
        rustup component add rustfmt clippy >&2 || die "rustfmt and clippy are missing and rustup cannot add them"
    fi
}

install_rust() {
    local installer packages
    mapfile -t packages < <(missing_packages curl:curl curl:ca-certificates)
    install_packages "${packages[@]}" || true
    if command -v curl >/dev/null && installer=$(curl --proto =https -fsS --max-time 60 https://sh.rustup.rs); then
        sh -s -- -y --profile minimal --component rustfmt --component clippy <<<"$installer" >&2
    elif install_packages rustup; then
        rustup toolchain install stable --profile minimal --component rustfmt --component clippy >&2
    else
        install_packages cargo rustc rustfmt rust-clippy
    fi
}

# Runs a command in a process group of its own: bash would heed a signal only after the command, which takes minutes. What ends
# the script ends the command with `end_supervised`, and all that it started.
supervise() {
    local code=0
    set -m
    "$@" </dev/null &
    supervised=$!
    set +m
    wait "$supervised" || code=$?
    supervised=''
    return "$code"
}

end_supervised() {
    local signal turn
    [[ -n ${supervised-} ]] || return 0
    for signal in TERM KILL; do
        kill -s "$signal" -- "-$supervised" 2>/dev/null || return 0
        for ((turn = 0; turn < 150; turn++)); do
            kill -0 -- "-$supervised" 2>/dev/null || return 0
            sleep 0.1
        done
    done
}

# Prints the packages that a list for pip names.
requirements() { sed 's/ *#.*//; /^$/d' "$1"; }

# Makes sure of a virtual environment named so with these packages, and sets `venv` to its path. One that has them is used
# again. `python` says with which interpreter, python3 otherwise.
ensure_venv() {
    local name=$1 packages=("${@:2}") fresh key
    mapfile -t missing < <(missing_packages python3:python3)
    "${python:-python3}" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    install_packages "${missing[@]}" || die "these are needed: ${missing[*]}"
    key=$({
        "${python:-python3}" -VV
        printf '%s\n' "${packages[@]}"
    } | sha256sum | cut -c 1-12)
    venv=${XDG_CACHE_HOME:-$HOME/.cache}/cw2/$name-$key
    [[ ! -x $venv/bin/python ]] || return 0
    say "installing Python packages: ${packages[*]}"
    mkdir -p "${venv%/*}"
    # Complete or absent: another one may be looking for it. An environment cannot be moved, so its name says which is which.
    fresh=$(mktemp -d "$venv.XXXXXX")
    (
        made=''
        trap '[[ -n $made ]] || rm -rf "$fresh"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
        "${python:-python3}" -m venv "$fresh" &&
            "$fresh/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}" &&
            ln -sfn "$fresh" "$venv" && made=1
    ) || die "the Python packages could not be installed: ${packages[*]}"
}

# It links against an old glibc whatever this machine has; PyPI's package is the whole compiler.
ziglang=ziglang==0.17.1

# Makes sure of zig and of what hands it to cargo, and puts them on PATH.
ensure_zig() {
    ensure_venv zig cargo-zigbuild==0.24.0 "$ziglang"
    PATH=$venv/bin:$PATH
}
