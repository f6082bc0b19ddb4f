"""The sources of statistics by name."""

from __future__ import annotations

import logging
from collections.abc import Callable

from testbed.errors import ConfigurationError, MachineError, unknown_name
from testbed.gpu.host import HostSource
from testbed.gpu.nvml import NvmlSource
from testbed.gpu.stats import StatsSource

_log = logging.getLogger(__name__)


def find_source(name: str = "auto") -> StatsSource:
    """Return a source that measures this machine.

    `name` is "nvml", the first NVIDIA GPU; "host", the processors; "auto", the GPU where there is
    one, else the processors. Say "host" if PyTorch runs on the processors beside a GPU. Raises
    ConfigurationError for another name, and MachineError for "nvml" where no GPU can be asked.
    """
    sources: dict[str, Callable[[], StatsSource]] = {
        "auto": _best_source,
        "nvml": NvmlSource,
        "host": HostSource,
    }
    if name not in sources:
        raise ConfigurationError(unknown_name("source of statistics", name, sources))
    return sources[name]()


def _best_source() -> StatsSource:
    try:
        return NvmlSource()
    except MachineError as error:
        _log.info("statistics come from the processors: %s", error)
        return HostSource()
