#!/usr/bin/env bash
# Sets the testbed up: system packages by apt, Python packages in .venv. Runs again in seconds.
#
#   ./install.sh                      as root, or as a user who may use sudo
#   PYTHON=python3.12 ./install.sh    .venv made from another Python than /usr/bin/python3
#
# For Debian 12 and 13, Ubuntu 22.04 and 24.04. Asks nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly PACKAGES=(
    mininet openvswitch-switch openvswitch-testcontroller # the last for plain `mn`
    iproute2 iputils-ping ethtool procps util-linux
    tcpdump tshark wireshark-common iperf3
    openssh-client dropbear-bin
    sudo python3-venv
    gcc libc6-dev # the tests build a stub of NVIDIA's management library
)
readonly SUDO_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
readonly STAMP=.venv/installed
readonly DESCRIBE_PYTHON='import sys; print(sys.base_prefix, sys.version)'

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# System packages

is_installed() {
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a \
        apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

install_packages() {
    say "installing system packages: $*"
    if [[ " $* " == *" wireshark-common "* ]]; then
        as_root debconf-set-selections \
            <<<'wireshark-common wireshark-common/install-setuid boolean false'
    fi
    # A machine's package lists may be absent or old; they are fetched only where they are.
    apt_install "$@" || { as_root apt-get update && apt_install "$@"; }
    if [[ " $* " == *" openvswitch-testcontroller "* ]]; then
        disable_test_controller
    fi
}

# The package starts its controller on port 6653, where `mn` wants to start one of its own.
disable_test_controller() {
    if [[ -d /run/systemd/system ]]; then
        as_root systemctl disable --quiet --now openvswitch-testcontroller
    else
        as_root service openvswitch-testcontroller stop
        as_root update-rc.d openvswitch-testcontroller disable
    fi
}

set_up_system() {
    command -v apt-get >/dev/null ||
        fail "no apt-get: this script knows Debian and Ubuntu; install ${PACKAGES[*]} by hand"
    ((EUID == 0)) || command -v sudo >/dev/null || fail "not root and no sudo: run it as root"
    local package missing=()
    for package in "${PACKAGES[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    # `sudo python experiments/NAME.py` needs a `python` where sudo looks for commands.
    PATH=$SUDO_PATH command -v python >/dev/null || missing+=(python-is-python3)
    if ((${#missing[@]})); then
        install_packages "${missing[@]}"
    fi
}

# Runs start an Open vSwitch of their own; the machine's is for `mn` and for the user's networks.
start_open_vswitch() {
    local pid
    if pid=$(cat /run/openvswitch/ovs-vswitchd.pid 2>/dev/null) && [[ -d /proc/$pid ]]; then
        return
    fi
    say "starting Open vSwitch"
    local start=(service openvswitch-switch start)
    if [[ -d /run/systemd/system ]]; then
        start=(systemctl start openvswitch-switch)
    fi
    as_root "${start[@]}" ||
        say "warning: the machine's Open vSwitch does not start; experiments do not need it, mn does"
}

# Python packages

venv_fits() {
    local found
    found=$(.venv/bin/python -c "$DESCRIBE_PYTHON" 2>/dev/null) || return
    [[ $found == "$("$PYTHON" -c "$DESCRIBE_PYTHON")" ]]
}

make_venv() {
    if venv_fits && .venv/bin/python -m pip --version &>/dev/null; then
        return
    fi
    if [[ -e .venv || -L .venv ]]; then
        say "replacing .venv, which is broken or made from another Python than $PYTHON"
        rm -rf .venv
    fi
    "$PYTHON" -m venv .venv
}

install_python_packages() {
    local torch
    torch=$(grep --only-matching --extended-regexp 'torch==[0-9.]+' pyproject.toml)
    local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
    rm -f "$STAMP"
    say "installing $torch"
    "${pip[@]}" --constraint requirements.lock "$torch"
    say "installing the packages of requirements.lock"
    "${pip[@]}" --requirement requirements.lock
    # The lock has setuptools, so nothing unpinned is fetched to build the project.
    "${pip[@]}" --no-deps --no-build-isolation --editable .
}

set_up_python() {
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$PYTHON is no Python 3.10 or newer; name one: PYTHON=/path/to/python3.11 ./install.sh"
    local wanted
    wanted=$(
        pwd
        "$PYTHON" -c "$DESCRIBE_PYTHON"
        sha256sum requirements.lock pyproject.toml
    )
    if venv_fits && [[ -f $STAMP && $(<"$STAMP") == "$wanted" ]]; then
        return
    fi
    make_venv
    install_python_packages
    # After `sudo ./install.sh`, the folder's owner can still run this without sudo.
    if ((EUID == 0)); then
        chown --recursive --reference=. .venv/
    fi
    printf '%s\n' "$wanted" >"$STAMP"
}

set_up_system
start_open_vswitch
readonly PYTHON=${PYTHON:-/usr/bin/python3}
set_up_python
say "ready; next: sudo python experiments/kaist_inception.py"
