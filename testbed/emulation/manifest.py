"""What an emulated run ran on; manifest.json."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from nodes.connection import CONGESTION_CONTROL
from testbed import manifest
from testbed.config import Experiment

_PACKAGES = ("mininet", "os-ken", "torch", "scikit-learn", "numpy", "pandas", "pyroute2")
_SHARING = {
    "separate": "each client has its own rate; layers and the rest share it equally",
    "shared": "the clients of an access point share its rate; layers and the rest share it equally",
}
_ACCELERATORS = {
    "modelled": "modelled: an edge server's clients share it; nothing of it was measured",
    "exclusive": "exclusive: an edge server's clients use it one at a time",
}


def describe(settings: Experiment) -> dict[str, Any]:
    """Return what is known before the run; its `status` is that of a run cut off at once."""
    return {
        **manifest.describe(settings, _PACKAGES),
        "open_vswitch": _first_line("ovs-vswitchd", "--version"),
        "datapath": "Open vSwitch userspace (netdev), TCP segmentation offloaded",
        "congestion_control": CONGESTION_CONTROL,
        "wireless_sharing": _SHARING[settings.wireless.airtime],
        "accelerator": _ACCELERATORS[settings.server.accelerator],
    }


def _first_line(program: str, *arguments: str) -> str | None:
    executable = shutil.which(program) or f"/usr/sbin/{program}"
    try:
        result = subprocess.run(
            [executable, *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return result.stdout.splitlines()[0] if result.stdout else None
