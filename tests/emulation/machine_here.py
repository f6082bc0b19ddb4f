"""A "machine" on this one: network, mount, PID and IPC namespaces with an sshd of their own.

`neighbours` starts some on a common bridge, inside a sandbox. Each is
`python -m tests.emulation.machine_here SSHD_CONFIG`, behind `unshare`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pyroute2 import IPRoute

from testbed.emulation import namespaces
from testbed.emulation.waiting import wait_until

SSHD = "/usr/sbin/sshd"
_LOOPBACK = 1
_PREFIX = 24
_UNSHARE = ("unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--mount-proc")


@contextmanager
def neighbours(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Start machines beside this network namespace; yield the `ssh_config` that names them.

    `folder` is where keys and configurations go.
    """
    for key in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
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
    config, log = folder / f"{name}.sshd", folder / f"{name}.log"
    config.write_text(
        f"HostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'user.pub'}\nStrictModes no\n"
        "PermitRootLogin prohibit-password\nUsePAM no\nUseDNS no\nPermitTunnel yes\nPidFile none\n"
    )
    inside = ["nsenter", f"--net={network}", *_UNSHARE]
    command = [*inside, sys.executable, "-m", "tests.emulation.machine_here", str(config)]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        wait_until(lambda: b"listening" in log.read_bytes(), f"sshd of {name} to listen", 20)
        yield
    finally:
        process.kill()
        process.wait()


def main(sshd_config: str) -> None:
    """Become the sshd of this machine, with a /run of its own."""
    namespaces.make_mounts_private()
    namespaces.mount("tmpfs", Path("/run"), "mode=0755")
    Path("/run/sshd").mkdir()
    os.execv(SSHD, [SSHD, "-D", "-e", "-f", sshd_config])


if __name__ == "__main__":
    main(*sys.argv[1:])
