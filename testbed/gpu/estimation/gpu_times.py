"""What the master expects of edge servers on this machine's GPU, which times itself."""

from __future__ import annotations

import logging
from functools import cache

import numpy as np
import pandas as pd

from testbed.arrays import FloatArray
from testbed.dnn.devices.device_profile import device_profile, measured_path
from testbed.gpu.contention.contention_file import contention_path, read_contention
from testbed.gpu.estimation.server_times import ServerTimes
from testbed.gpu.estimation.slowdown import Slowdown

SOURCE = "nvml"

_log = logging.getLogger(__name__)


class NoSlowdown(Slowdown):
    """A server that is as fast under load as idle: what is assumed where nothing was measured."""

    def of(self, loads: FloatArray) -> FloatArray:
        """Return 1 for each load."""
        return np.ones(len(loads))


def contention_of(device: str) -> pd.DataFrame | None:
    """Return the contention profile of a measured device's GPU; None if there is none.

    Raises ConfigurationError if its file is no such profile.
    """
    profile = measured_path(device)
    path = None if profile is None else contention_path(profile)
    return read_contention(path, SOURCE) if path is not None and path.exists() else None


@cache
def gpu_times(device: str) -> ServerTimes:
    """Return the execution-time estimator of this machine's GPU, whose profile is a device's.

    It learns the slowdown under load from the device's contention profile. Where there is none,
    servers are planned with their idle times, whatever their load. Raises ConfigurationError if
    the file is no such profile.
    """
    contention = contention_of(device)
    slowdown: Slowdown = NoSlowdown()
    if contention is not None:
        slowdown = Slowdown()
        slowdown.fit(contention)
    else:
        _log.warning("no contention profile of %s: plans take servers to be idle", device)
    return ServerTimes(device_profile(device), slowdown, SOURCE)
