"""What traffic is for, by TCP port: each kind of the testbed's has one of its own."""

from __future__ import annotations

import numpy as np

from testbed.arrays import IntArray
from testbed.protocol.messages import PORTS

CAUSES = (*PORTS, "other")
_CODE_OF_PORT = np.full(65536, len(PORTS))
_CODE_OF_PORT[[*PORTS.values()]] = np.arange(len(PORTS))


def cause_codes(src_port: IntArray, dst_port: IntArray) -> IntArray:
    """Return each packet's index into CAUSES, by either of its ports: int64, (n,)."""
    # The testbed's ports are listened on, so at most one end of a connection has one.
    return np.minimum(_CODE_OF_PORT[src_port], _CODE_OF_PORT[dst_port])
