# Sourced: installs Debian/Ubuntu packages as root or through sudo.

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

can_install() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; }
}

# need WHAT PACKAGE...: install the packages, or say what to install and exit 1.
need() {
    local what=$1
    shift
    if ! can_install; then
        echo "$what is missing and cannot be installed from here (no apt-get, or neither root nor sudo)." >&2
        echo "Please install it, on Debian or Ubuntu: apt-get install $*" >&2
        exit 1
    fi
    echo "installing $what: $*" >&2
    install_packages "$@"
}

# The package lists of a fresh machine are empty or old: refresh them only if the install fails.
install_packages() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120)
    as_root "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 && return
    as_root "${apt[@]}" update >&2
    as_root "${apt[@]}" install -y --no-install-recommends "$@" >&2
}
