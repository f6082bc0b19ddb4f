"""Statistics of an NVIDIA GPU, read through the unchanged bindings from a stub of its library."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from testbed.gpu.nvml import first_visible

REPOSITORY = Path(__file__).resolve().parents[2]
STUB = Path(__file__).with_name("nvml_stub.c")
NAN = str(math.nan)

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, GPU_IS_LOST, MADE_UP = 3, 4, 9, 15, 4711


def build(folder: Path, *options: str) -> Path:
    """Build the stub under the library's name; return its folder."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        reason = "needs a C compiler: apt install gcc libc6-dev"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    output = folder / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", *options]
    subprocess.run([compiler, *flags, "-o", output, STUB], check=True)
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


def run(library: Path, program: str, settings: dict[str, object] | None = None) -> str:
    """Run a program that finds the stub where the dynamic linker looks first; return its output."""
    environment = {name: text for name, text in os.environ.items() if "nvml" not in name.lower()}
    others = environment.get("LD_LIBRARY_PATH")
    environment["LD_LIBRARY_PATH"] = f"{library}:{others}" if others else str(library)
    environment["PYTHONPATH"] = str(REPOSITORY)
    environment |= {name: str(value) for name, value in (settings or {}).items()}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


READ = """
from contextlib import closing
import msgspec
from testbed.errors import MachineError
from testbed.gpu.nvml import NvmlSource
try:
    with closing(NvmlSource({index})) as source:
        print(source.name)
        stats = source.read(clients=3)
        print({{name: str(value) for name, value in msgspec.structs.asdict(stats).items()}})
except MachineError as error:
    print("MachineError:", error)
"""


def stats(library: Path, settings: dict[str, object], index: int = 0) -> dict[str, str]:
    """Return what a source reads, as text, since NaN equals nothing."""
    last = run(library, READ.format(index=index), settings).splitlines()[-1]
    return msgspec.json.decode(last.replace("'", '"'), type=dict[str, str])


FIGURES: dict[str, object] = {
    "NVML_STUB_KERNEL": 73,
    "NVML_STUB_MEMORY": 41,
    "NVML_STUB_USED": 5_000_000_001,
    "NVML_STUB_TEMPERATURE": 66,
}
MEASURED = {
    "source": "nvml",
    "clients": "3",
    "kernel_utilisation": "0.73",
    "memory_utilisation": "0.41",
    "memory_used_bytes": "5000000001",
    "temperature_c": "66.0",
}


def test_figures_are_those_of_the_library(library: Path) -> None:
    assert stats(library, FIGURES) == MEASURED


def test_driver_that_knows_only_the_new_temperature_call(tmp_path: Path) -> None:
    assert stats(build(tmp_path, "-DNEW_DRIVER"), FIGURES) == MEASURED


def test_index_chooses_among_several_gpus(library: Path) -> None:
    assert run(library, READ.format(index=1), {"NVML_STUB_COUNT": 2}).startswith("Stub GPU 1\n")


@pytest.mark.parametrize("error", [NOT_SUPPORTED, NO_PERMISSION])
@pytest.mark.parametrize(
    ("function", "unmeasured"),
    [
        ("UtilizationRates", {"kernel_utilisation": NAN, "memory_utilisation": NAN}),
        ("MemoryInfo", {"memory_used_bytes": "0"}),
        ("Temperature", {"temperature_c": NAN}),
    ],
)
def test_figure_that_a_gpu_lacks_leaves_the_others(
    library: Path, function: str, unmeasured: dict[str, str], error: int
) -> None:
    assert stats(library, {**FIGURES, f"nvmlDeviceGet{function}": error}) == MEASURED | unmeasured


@pytest.mark.parametrize(
    ("settings", "index", "message"),
    [
        ({"nvmlInitWithFlags": DRIVER_NOT_LOADED}, 0, "no NVIDIA GPU can be asked: Driver Not"),
        ({"NVML_STUB_COUNT": 0}, 0, "no GPU 0: 0 found"),
        ({"NVML_STUB_COUNT": 2}, 2, "no GPU 2: 2 found"),
        ({}, -1, "no GPU -1: 1 found"),
        ({"nvmlDeviceGetHandleByIndex_v2": GPU_IS_LOST}, 0, "GPU 0: GPU is lost"),
        ({"nvmlDeviceGetMemoryInfo": GPU_IS_LOST}, 0, "GPU 0 (Stub GPU 0): GPU is lost"),
        ({"nvmlDeviceGetTemperature": MADE_UP}, 0, "GPU 0 (Stub GPU 0): stub error 4711"),
    ],
)
def test_gpu_that_cannot_be_asked_is_named(
    library: Path, settings: dict[str, object], index: int, message: str
) -> None:
    last = run(library, READ.format(index=index), settings).splitlines()[-1]
    assert last.startswith(f"MachineError: {message}")


@pytest.mark.parametrize("closes", ["NvmlSource().close()", "NvmlSource(7)"])
def test_library_is_shut_down_after_use_and_after_failure(library: Path, closes: str) -> None:
    program = f"""
import contextlib, pynvml
from testbed.errors import MachineError
from testbed.gpu.nvml import NvmlSource
with contextlib.suppress(MachineError):
    {closes}
try:
    pynvml.nvmlDeviceGetCount()
except pynvml.NVMLError as error:
    print(error)
"""
    assert run(library, program) == "Uninitialized"


def test_closing_twice_leaves_the_library_to_others(library: Path) -> None:
    program = """
from testbed.gpu.nvml import NvmlSource
mine, other = NvmlSource(), NvmlSource()
mine.close()
mine.close()
print(other.read(1).clients)
"""
    assert run(library, program) == "1"


FIND = """
from testbed.errors import MachineError
from testbed.gpu.sources import find_source
try:
    print(find_source({name!r}).read(2).source)
except MachineError as error:
    print("MachineError:", error)
"""


def test_source_is_the_gpu_where_there_is_one(library: Path) -> None:
    assert run(library, FIND.format(name="auto")) == "nvml"
    assert run(library, FIND.format(name="nvml")) == "nvml"
    assert run(library, FIND.format(name="host")) == "host"


def test_source_is_the_host_where_there_is_no_driver(library: Path) -> None:
    settings: dict[str, object] = {"nvmlInitWithFlags": DRIVER_NOT_LOADED}
    assert run(library, FIND.format(name="auto"), settings) == "host"
    assert run(library, FIND.format(name="nvml"), settings).startswith("MachineError: no NVIDIA")


def test_library_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    """An empty file: so also on a machine whose own library lies further on the path."""
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")
    expected = "MachineError: no NVIDIA GPU can be asked: NVML Shared Library Not Found"
    assert run(tmp_path, FIND.format(name="nvml")) == expected


LOAD = """
from pathlib import Path
from nodes.executions.gpu_load import GpuLoad, read_gpu_load
from testbed.clock import RunClock
from testbed.runs.records import RecordWriter, collect, read_table
folder = Path({folder!r})
records = RecordWriter(folder, "pool")
load = GpuLoad(folder / "gpu", records)
load.clock = RunClock(0.0)
load.began("a")
with records, load:
    load.tell()
print(read_gpu_load(folder / "gpu"))
collect(folder)
print(read_table(folder, "gpu").drop(columns="time_s").to_dict("records"))
"""


def test_load_of_a_run_is_that_of_the_library(library: Path, tmp_path: Path) -> None:
    told, recorded = run(library, LOAD.format(folder=str(tmp_path)), FIGURES).splitlines()
    assert told == (
        "ServerStats(source='nvml', clients=1, kernel_utilisation=0.73, memory_utilisation=0.41,"
        " memory_used_bytes=5000000001, temperature_c=66.0)"
    )
    assert "'kernel_utilisation': 0.73" in recorded and "'clients': 1" in recorded


def test_run_reads_the_gpu_that_cuda_takes(library: Path, tmp_path: Path) -> None:
    program = LOAD.format(folder=str(tmp_path)) + "print(load._sampler._source.name)"
    visible: dict[str, object] = {"NVML_STUB_COUNT": 3, "CUDA_VISIBLE_DEVICES": "2,0"}
    assert run(library, program, visible).endswith("Stub GPU 2")
    for text, index in (("", 0), ("GPU-1f", 0), ("3", 3)):
        assert first_visible({"CUDA_VISIBLE_DEVICES": text}) == index


CUDA = """
from testbed.errors import MachineError
from testbed.gpu.cuda_device import find_cuda
try:
    print(find_cuda())
except MachineError as error:
    print("MachineError:", error)
"""


def test_gpu_that_pytorch_cannot_use_is_named_with_its_reason(library: Path) -> None:
    """No driver lies behind the stub, whatever PyTorch was built for."""
    assert run(library, CUDA).startswith("MachineError: Stub GPU 0: PyTorch cannot use it: ")
    settings: dict[str, object] = {"nvmlInitWithFlags": DRIVER_NOT_LOADED}
    assert run(library, CUDA, settings).startswith("MachineError: no NVIDIA GPU can be asked")


def test_doctor_tells_nvml_and_cuda_apart(library: Path) -> None:
    program = """
from testbed.emulation.fitness import examination
for finding in (examination._nvml(), examination._cuda()):
    print(finding.name, finding.state, finding.detail)
"""
    nvml, cuda = run(library, program).splitlines()
    assert nvml == "NVML found 1 GPU(s)"
    assert cuda.startswith("CUDA fallback Stub GPU 0: PyTorch cannot use it")
    assert cuda.endswith("compute.device=auto is cpu")
