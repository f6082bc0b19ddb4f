"""Statistics of an NVIDIA GPU, from its management library (NVML, by nvidia-ml-py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import pynvml

from testbed.errors import MachineError
from testbed.gpu.stats import ServerStats

#: What NVML says of a figure that this GPU, driver or user does not get: a laptop's GPU has no
#: utilisation, one in MIG mode neither, a passively cooled one perhaps no sensor.
_NOT_MEASURED = (
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
)


#: Has CUDA number GPUs as NVML does.
SAME_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def first_visible(environment: Mapping[str, str]) -> int:
    """Return NVML's number of the GPU that CUDA takes first, with `SAME_ORDER`.

    `CUDA_VISIBLE_DEVICES` may name it by number; where it does so by UUID, 0 is returned.
    """
    first = environment.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


class NvmlSource:
    """One GPU of this machine.

    The driver renews the utilisations once in its sample period, 1/6 to 1 s, and a read takes from
    microseconds to milliseconds: read by a `Sampler`. Open it in the process that reads, since NVML
    does not survive a fork. `memory_used_bytes` is of the whole GPU, by all its processes. Raises
    MachineError without NVML library or driver, or if there is no such GPU.
    """

    def __init__(self, device_index: int = 0) -> None:
        self._place = f"GPU {device_index}"
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise MachineError(f"no NVIDIA GPU can be asked: {error}") from error
        with ExitStack() as undo:
            undo.callback(pynvml.nvmlShutdown)
            try:
                count = pynvml.nvmlDeviceGetCount()
                if not 0 <= device_index < count:
                    raise MachineError(f"no {self._place}: {count} found, numbered from 0")
                self._handle = pynvml.nvmlDeviceGetHandleByIndex(device_index)
                self.name: str = pynvml.nvmlDeviceGetName(self._handle)
            except pynvml.NVMLError as error:
                raise MachineError(f"{self._place}: {error}") from error
            self._undo = undo.pop_all()

    def read(self, clients: int) -> ServerStats:
        """Return the GPU's statistics; what it does not measure is NaN, for memory 0.

        Raises MachineError if the GPU no longer answers.
        """
        utilisation = self._ask(pynvml.nvmlDeviceGetUtilizationRates)
        memory = self._ask(pynvml.nvmlDeviceGetMemoryInfo)
        temperature_c = self._ask(_temperature_c)
        return ServerStats(
            source="nvml",
            clients=clients,
            kernel_utilisation=math.nan if utilisation is None else utilisation.gpu / 100,
            memory_utilisation=math.nan if utilisation is None else utilisation.memory / 100,
            memory_used_bytes=0 if memory is None else int(memory.used),
            temperature_c=math.nan if temperature_c is None else float(temperature_c),
        )

    def close(self) -> None:
        """Let go of the library."""
        self._undo.close()

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        try:
            return question(self._handle)
        except pynvml.NVMLError as error:
            if error.value in _NOT_MEASURED:
                return None
            raise MachineError(f"{self._place} ({self.name}): {error}") from error


def _temperature_c(handle: object) -> int:
    """Ask as every driver up to CUDA 13 understands it, else as later ones do."""
    try:
        return pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
    except pynvml.NVMLError_FunctionNotFound:
        return pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU)
