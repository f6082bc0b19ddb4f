"""A "machine" on this one: network, mount, PID and IPC namespaces with an SSH server of their own.

`neighbours` starts some on a common bridge, inside a sandbox. Each is
`python -m tests.emulation.machine_here HOST_KEY USER_KEY`, behind `unshare`. The server is
Dropbear: unlike OpenSSH's, its package installs no service that would listen on the real machine.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pyroute2 import IPRoute

from testbed import namespaces
from testbed.emulation.sandbox.waiting import wait_until

SERVER = "/usr/sbin/dropbear"
_LOOPBACK = 1
_PREFIX = 24
_UNSHARE = ("unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--mount-proc")


@contextmanager
def neighbours(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Start machines beside this network namespace; yield the `ssh_config` that names them.

    `folder` is where keys and configurations go.
    """
    of_user = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "user")]
    of_host = ["dropbearkey", "-t", "ed25519", "-f", str(folder / "host")]
    for command in (of_user, of_host):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    config = folder / "ssh_config"
    with ExitStack() as stack, IPRoute() as here, config.open("w") as known:
        here.link("set", index=_LOOPBACK, state="up")
        here.link("add", ifname="lan", kind="bridge", state="up")
        lan = here.link_lookup(ifname="lan")[0]
        here.addr("add", index=lan, address="192.168.77.1", prefixlen=_PREFIX)
        for number, name in enumerate(names, start=2):
            address = f"192.168.77.{number}"
            network = namespaces.new_network(folder / "netns" / name)
            _plug_in(here, lan, name, network, address)
            stack.enter_context(_machine(folder, name, network))
            known.write(
                f"Host {name}\n HostName {address}\n User root\n IdentityFile {folder / 'user'}\n"
                f" UserKnownHostsFile {folder / 'known'}\n StrictHostKeyChecking accept-new\n"
            )
        known.flush()
        yield config


def _plug_in(here: IPRoute, lan: int, name: str, network: Path, address: str) -> None:
    peer = {"ifname": "eth0", "net_ns_fd": str(network)}
    here.link("add", ifname=f"to-{name}", kind="veth", peer=peer, master=lan, state="up")
    with namespaces.inside_network(network), IPRoute() as there:
        there.link("set", index=_LOOPBACK, state="up")
        index = there.link_lookup(ifname="eth0")[0]
        there.link("set", index=index, state="up")
        there.addr("add", index=index, address=address, prefixlen=_PREFIX)


@contextmanager
def _machine(folder: Path, name: str, network: Path) -> Iterator[None]:
    log = folder / f"{name}.log"
    inside = ["nsenter", f"--net={network}", *_UNSHARE]
    command = [*inside, sys.executable, "-m", "tests.emulation.machine_here"]
    command += [str(folder / "host"), str(folder / "user.pub")]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        wait_until(lambda: _listens(network), f"the SSH server of {name}", 20)
        yield
    finally:
        process.kill()
        process.wait()


def _listens(network: Path) -> bool:
    """Whether somebody listens on the SSH port of a network namespace."""
    with namespaces.inside_network(network), socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", 22)) == 0


def main(host_key: str, user_key: str) -> None:
    """Become the SSH server of this machine, with a /run and a home of root's of its own."""
    namespaces.make_mounts_private()
    namespaces.mount("tmpfs", Path("/run"), "mode=0755")
    keys, users = Path("/run/root/.ssh"), Path("/run/passwd")
    keys.mkdir(parents=True, mode=0o700)
    (keys / "authorized_keys").write_text(Path(user_key).read_text())
    users.write_text("root:x:0:0:root:/run/root:/bin/bash\n")
    subprocess.run(["mount", "--bind", str(users), "/etc/passwd"], check=True)
    os.execv(SERVER, [SERVER, "-F", "-E", "-r", host_key, "-p", "22", "-P", "/run/dropbear.pid"])


if __name__ == "__main__":
    main(*sys.argv[1:])
