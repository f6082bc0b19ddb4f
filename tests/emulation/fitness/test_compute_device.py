"""What `compute.device` becomes, and what is said of it; the GPU is made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from testbed.dnn.devices import device_profile
from testbed.emulation.fitness.compute_device import resolved, warning
from testbed.errors import ConfigurationError, MachineError
from testbed.gpu.contention.contention_profile import profile_modelled
from testbed.gpu.cuda_device import CudaDevice
from testbed.gpu.estimation.server_times import _query
from testbed.settings.experiment import Compute, Experiment, Model, Server

TITAN = Path(device_profile.__file__).parents[1] / "profiles" / "devices" / "titan-xp.csv"


def found() -> CudaDevice:
    return CudaDevice("Made-up GPU", 12 * 10**9)


def missing() -> CudaDevice:
    raise MachineError("no NVIDIA GPU can be asked: made up")


def settings(server: str = "titan-xp", **compute: Any) -> Experiment:
    return Experiment(name="t", model=Model(server_device=server), compute=Compute(**compute))


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Measure this machine, with that framework; return the file."""
    monkeypatch.setattr(device_profile, "MEASURED_FOLDER", tmp_path)

    def measure(framework: str) -> Path:
        lines = TITAN.read_text().splitlines(keepends=True)
        changed = [f"# framework: {framework}\n" if "framework:" in li else li for li in lines]
        changed = ["# device: this-machine\n" if "device:" in li else li for li in changed]
        path = tmp_path / "this-machine.csv"
        path.write_text("".join(changed))
        assert device_profile.device_profile("this-machine").metadata["framework"] == framework
        return path

    return measure


def test_auto_takes_the_gpu_where_there_is_one_and_says_so() -> None:
    experiment, (said,) = resolved(settings(), found)
    assert experiment.compute.device == "cuda" and experiment.compute.mode == "auto"
    assert "Made-up GPU, 12 GB" in said and "clients stay on the processors" in said
    assert not experiment.timed_by_gpu
    experiment, (said,) = resolved(settings(), missing)
    assert experiment.compute.device == "cpu"
    assert said == "device cpu: no NVIDIA GPU can be asked: made up"


def test_cuda_without_a_gpu_is_refused_with_its_place_and_a_way_out() -> None:
    with pytest.raises(MachineError, match=r"compute\.device: cuda .*made up; set"):
        resolved(settings(device="cuda"), missing)


def test_the_processors_are_taken_without_a_look_where_they_are_set() -> None:
    assert resolved(settings(device="cpu"), pytest.fail)[0].compute.device == "cpu"  # type: ignore[arg-type]
    experiment, (said,) = resolved(settings(mode="profile"), pytest.fail)  # type: ignore[arg-type]
    assert experiment.compute.device == "cpu" and "nothing is executed" in said


def test_a_gpu_is_for_runs_on_one_machine() -> None:
    machines = ("localhost", "other")
    experiment, (said,) = resolved(settings(machines=machines), found)
    assert experiment.compute.device == "cpu" and "compute.machines" in said
    with pytest.raises(ConfigurationError, match=r"compute\.machines"):
        resolved(settings(machines=machines, device="cuda"), found)


def test_a_gpu_that_was_profiled_times_itself(measured: Callable[[str], Path]) -> None:
    profile = measured("PyTorch 2, CUDA 12")
    experiment, said = resolved(settings("this-machine"), found)
    assert experiment.timed_by_gpu
    assert (experiment.compute.mode, experiment.compute.tdf) == ("real", 1.0)
    assert "--accelerator cuda --contention" in said[-1]
    contention = profile_modelled([_query(0.01)], (1, 2), run_s=1.0, runs=3)
    contention.assign(source="nvml").to_parquet(path := profile.with_suffix(".contention.parquet"))
    assert "--contention" not in " ".join(resolved(settings("this-machine"), found)[1])
    contention.to_parquet(path)
    with pytest.raises(ConfigurationError, match="statistics are of modelled, not of nvml"):
        resolved(settings("this-machine"), found)
    path.write_bytes(b"no table")
    with pytest.raises(ConfigurationError, match="is no contention profile"):
        resolved(settings("this-machine"), found)


def test_a_gpu_that_times_itself_cannot_be_dilated(measured: Callable[[str], Path]) -> None:
    measured("PyTorch 2, CUDA 12")
    with pytest.raises(ConfigurationError, match=r"compute\.tdf: .*4"):
        resolved(settings("this-machine", tdf=4.0), found)
    memo, _ = resolved(settings("this-machine", tdf=4.0, mode="memo"), found)
    assert not memo.timed_by_gpu
    assert resolved(settings("this-machine", tdf="auto"), found)[0].compute.tdf == 1.0


def test_a_gpu_that_times_itself_is_estimated_by_its_own_slowdown(
    measured: Callable[[str], Path],
) -> None:
    measured("PyTorch 2, CUDA 12")
    given = settings("this-machine")
    given = structs.replace(given, server=Server(estimator="forest"))
    with pytest.raises(ConfigurationError, match=r"server\.estimator: forest"):
        resolved(given, found)


def test_times_of_processors_are_not_those_of_a_gpu(measured: Callable[[str], Path]) -> None:
    measured("PyTorch 2, CPU")
    experiment, (said,) = resolved(settings("this-machine"), found)
    assert experiment.compute.device == "cpu" and "times of its processors" in said
    with pytest.raises(ConfigurationError, match="testbed profile --device this-machine"):
        resolved(settings("this-machine", device="cuda"), found)
    assert "made up" in resolved(settings("this-machine"), missing)[1][0]


def test_bfloat16_without_amx_is_warned_of(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("flags : avx512_bf16 amx_tile\n")
    low = settings(precision="bfloat16")
    assert "no AMX" in str(warning(low, info))
    assert warning(settings(), info) is None
    info.write_text("flags : amx_bf16 amx_tile\n")
    assert warning(low, info) is None
