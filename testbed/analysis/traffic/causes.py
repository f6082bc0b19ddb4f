"""What traffic is for, by TCP port: each kind of the testbed's has one of its own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from testbed.arrays import IntArray
from testbed.protocol.messages import PORTS

CAUSE_OF_PORT = {port: cause for cause, port in PORTS.items()}
CAUSES = (*PORTS, "other")


def cause_codes(
    src_port: IntArray, dst_port: IntArray, cause_of_port: Mapping[int, str]
) -> IntArray:
    """Return each packet's index into CAUSES, by either of its ports: int64, (n,)."""
    code_of_port = np.full(65536, len(CAUSES) - 1)
    for port, cause in cause_of_port.items():
        code_of_port[port] = CAUSES.index(cause)
    # The testbed's ports are listened on, so at most one end of a connection has one.
    return np.minimum(code_of_port[src_port], code_of_port[dst_port])
