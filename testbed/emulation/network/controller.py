"""Starting the OpenFlow controller of a run beside its switches."""

from __future__ import annotations

from pathlib import Path

import msgspec

from controllers.named import find_controller
from controllers.northbound import Northbound
from testbed.emulation.network.addresses import CONTROLLER_ADDRESS
from testbed.emulation.network.network import CONTROLLER_PORT, EmulatedNetwork
from testbed.emulation.sandbox import background

_READY_S = 60.0


class Controller:
    """A running controller process and the connection to its northbound interface."""

    def __init__(self, spec: str, network: EmulatedNetwork, scratch: Path, log: Path) -> None:
        description, socket = scratch / "network.json", scratch / "northbound.sock"
        description.write_bytes(msgspec.json.encode(network.describe()))
        command = [*find_controller(spec), f"--network={description}", f"--northbound={socket}"]
        command += [f"--address={CONTROLLER_ADDRESS}", f"--port={CONTROLLER_PORT}"]
        self._process = background.start(command, log, niceness=background.SWITCH_NICENESS)
        self.northbound = Northbound(socket)

    def __enter__(self) -> Controller:
        return self

    def wait_ready(self) -> None:
        """Wait until every switch has confirmed its routes."""
        self.northbound.wait_ready(_READY_S)

    def __exit__(self, *_: object) -> None:
        self.northbound.close()
        self._process.terminate()
        self._process.wait(timeout=10)
