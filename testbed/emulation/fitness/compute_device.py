"""What executes layers: what `compute.device=auto` means on this machine, and what to say of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from testbed.dnn.devices.device_profile import device_profile
from testbed.emulation.spread.machines import HERE, parse_all
from testbed.errors import ConfigurationError, MachineError
from testbed.gpu.cuda_device import CudaDevice, find_cuda
from testbed.settings.experiment import Experiment
from testbed.settings.offloads import THIS_MACHINE

_PROFILE = "testbed profile --device this-machine --model {model} --accelerator cuda"


def resolved(
    settings: Experiment, find: Callable[[], CudaDevice] = find_cuda
) -> tuple[Experiment, list[str]]:
    """Return the settings with the device that executes, and what people are told of it.

    On a GPU that times itself, `compute.mode=auto` is `real`. Raises MachineError if there is no
    GPU and one is asked for, and ConfigurationError if it cannot be used with the other settings.
    """
    wanted = settings.compute.device
    if wanted == "cpu":
        return settings, ["device cpu: as set"]
    if settings.compute.mode == "profile":
        return _on(settings, "cpu"), ["device cpu: nothing is executed (compute.mode=profile)"]
    if (why := _obstacle(settings)) is not None and wanted == "cuda":
        raise ConfigurationError(f"compute.device: {why}; set compute.device=cpu")
    try:
        found = find()
    except MachineError as error:
        if wanted == "cuda":
            raise MachineError(
                f"compute.device: cuda cannot be used, {error}; set compute.device=auto, or see"
                " 'testbed doctor'"
            ) from error
        return _on(settings, "cpu"), [f"device cpu: {error}"]
    if why is not None:
        return _on(settings, "cpu"), [f"device cpu: {why}"]
    settings = _on(settings, "cuda")
    said = [
        f"device cuda ({found.name}, {found.memory_bytes / 1e9:.0f} GB): executes what edge servers"
        " do; clients stay on the processors"
    ]
    if settings.model.server_device != THIS_MACHINE:
        return settings, said
    return _timed(settings, said)


def warning(settings: Experiment, cpu_info: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return what to say where `bfloat16` will not be the faster way; None if nothing is."""
    if settings.compute.precision == "float32" or "amx_bf16" in cpu_info.read_text().split():
        return None
    return (
        "warning: compute.precision=bfloat16: this processor has no AMX (amx_bf16), so executions"
        " take longer than in float32, not less"
    )


def _on(settings: Experiment, device: Literal["cpu", "cuda"]) -> Experiment:
    return replace(settings, compute=replace(settings.compute, device=device))


def _obstacle(settings: Experiment) -> str | None:
    """Return why a GPU, if there is one, is not used with these settings."""
    if any(each.destination != HERE for each in parse_all(settings.compute.machines)):
        return "a GPU is used in runs on one machine alone (compute.machines)"
    if settings.model.server_device == THIS_MACHINE:
        framework = device_profile(THIS_MACHINE).metadata.get("framework", "")
        if "CUDA" not in framework:
            command = _PROFILE.format(model=settings.model.name)
            return (
                f"model.server_device: {THIS_MACHINE} has the times of its processors"
                f" ({framework}); '{command}' measures the GPU, after its old profile is removed"
            )
    return None


def _timed(settings: Experiment, said: list[str]) -> tuple[Experiment, list[str]]:
    """Return a run whose edge servers the GPU itself times, and what to say of it."""
    from testbed.gpu.estimation.gpu_times import contention_of

    compute = settings.compute
    if compute.mode == "memo":
        return settings, said  # replayed at the profile's pace
    if compute.tdf not in (1.0, "auto"):
        raise ConfigurationError(
            f"compute.tdf: a GPU that times itself cannot be slowed down to {compute.tdf:g}; set"
            " compute.tdf=1, or the profile of another device as model.server_device"
        )
    if settings.server.estimator != "slowdown":
        raise ConfigurationError(
            f"server.estimator: {settings.server.estimator} learns from modelled accelerators, and"
            " nothing of a GPU that times itself; set server.estimator=slowdown, or the profile of"
            " another device as model.server_device"
        )
    settings = replace(settings, compute=replace(compute, mode="real", tdf=1.0))
    if contention_of(THIS_MACHINE) is None:
        command = _PROFILE.format(model=settings.model.name)
        said.append(
            "plans take edge servers to be idle, whatever their load, until"
            f" '{command} --contention' has measured how clients slow each other down"
        )
    return settings, said
