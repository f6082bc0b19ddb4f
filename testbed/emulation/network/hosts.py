"""Mininet's hosts without a process each.

Mininet keeps a shell in every node, which holds its network namespace and takes its commands: 12 ms
a node before anything is configured. Here a namespace is held by a file (a bind mount, as `ip
netns` does it), and the shell starts with the first command that somebody gives: `net['ap12'].cmd(
'ip addr')`, the CLI and `pingAll` work as ever.
"""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import Popen
from typing import Any

from mininet.node import Node

from testbed import namespaces
from testbed.emulation.sandbox.sandbox import scratch_folder


class LazyNode(Node):
    """A node whose shell starts with its first command, in the namespace of a file or without."""

    namespace: Path | None = None
    inNamespace: bool  # noqa: N815
    _shell: Popen[bytes] | None = None
    _pid: int | None = None
    _wanted = False  # whether a shell may start; not while Mininet constructs the node

    @property
    def shell(self) -> Popen[bytes] | None:
        """The shell; starts it."""
        if self._shell is None and self._wanted:
            self._wanted = False
            self._start_shell()
        return self._shell

    @shell.setter
    def shell(self, value: Popen[bytes] | None) -> None:
        self._shell = value

    @property
    def pid(self) -> int | None:
        """The shell's process, in the node's namespaces; starts it."""
        return self._pid if self.shell else None

    @pid.setter
    def pid(self, value: int | None) -> None:
        self._pid = value

    def startShell(self, mnopts: str | None = None) -> None:  # noqa: N802
        """Called by Mininet when it has made the node: wait for the first command instead."""
        self._wanted = True

    def terminate(self) -> None:
        """End the shell, if it ever started."""
        if self._shell is not None:
            super().terminate()
        self._wanted = False

    def popen(self, *args: Any, **kwargs: Any) -> Popen[bytes]:
        """Start a process in the node's namespaces."""
        if self.namespace is not None and not self.inNamespace:  # as Mininet knows switches
            kwargs = {"mncmd": ["mnexec", "-da", str(self.pid)]} | kwargs
        return super().popen(*args, **kwargs)

    def _start_shell(self) -> None:
        if self.namespace is None:
            super().startShell()
            return
        inside, self.inNamespace = self.inNamespace, False  # it has a namespace already
        super().startShell()
        self.inNamespace = inside
        self.cmd("mount -t sysfs sysfs /sys")  # which shows this namespace's interfaces

    def _popen(self, cmd: list[str], **params: Any) -> Popen[bytes]:
        if "bash" in cmd and self._shell is None and self.namespace is not None:
            cmd = ["nsenter", f"--net={self.namespace}", "unshare", "--mount", *cmd]
        return super()._popen(cmd, **params)


class Host(LazyNode):
    """A host; its network namespace is held by the file `namespace`."""

    namespace: Path

    def __init__(self, name: str, inNamespace: bool = True, **params: Any) -> None:  # noqa: N803
        self.namespace = namespaces.new_network(scratch_folder() / "netns" / name)
        super().__init__(name, inNamespace=inNamespace, **params)

    def config(
        self, mac: str | None = None, ip: str | None = None, **params: Any
    ) -> dict[str, Any]:
        """Note addresses; whoever builds the network sets all of them together."""
        if self.intfs:
            interface = self.defaultIntf()
            interface.mac = mac or interface.mac
            if ip is not None:
                interface.ip, _, interface.prefixLen = ip.partition("/")
        if params.get("defaultRoute") is not None:
            self.setDefaultRoute(params["defaultRoute"])
        return {}


def namespace_of(node: Node) -> Path:
    """Return the file of a node's network namespace."""
    if isinstance(node, LazyNode) and node.namespace is not None:
        return node.namespace
    return namespaces.network_of(node.pid if node.inNamespace else os.getpid())
