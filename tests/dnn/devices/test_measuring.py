"""Layers are timed one by one, on a machine that is warm."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from testbed.dnn.devices import measuring
from testbed.dnn.devices.device_profile import DeviceProfile
from testbed.dnn.executor import Executor
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import build_model
from testbed.errors import MachineError, ModelError

UNET, CHAIN = "tests.dnn.sample_models:unet", "tests.dnn.sample_models:chain"


def test_every_layer_of_a_model_is_timed() -> None:
    said: list[str] = []
    found = measuring.measure(UNET, runs=7, threads=1, say=said.append)
    module, examples = build_model(UNET)
    graph = capture(module, examples, UNET).graph
    assert [layer.layer for layer in found.layers] == [layer.name for layer in graph.layers]
    assert {layer.model for layer in found.layers} == {UNET}
    for layer in found.layers:
        assert layer.runs == 7
        assert layer.p10_s is not None and layer.p90_s is not None
        assert 0 < layer.p10_s <= layer.time_s <= layer.p90_s
    assert len(found.pass_s) == len(found.marked_pass_s) == 7
    assert all(seconds > 0 for seconds in found.pass_s)
    assert "14 passes" in said[-1]
    times_s = DeviceProfile({"device": "here"}, found.layers).layer_times(graph)
    assert times_s.tolist() == [layer.time_s for layer in found.layers]
    assert times_s.sum() == pytest.approx(found.sum_s)


def test_each_interval_belongs_to_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that layer i moves by i + 1 ms, and by 100 ms more until the machine is warm."""
    now_ns, executed = [0], [0]
    run_layer = Executor.run_layer
    n, runs, captures = 5, 4, 1  # the capture executes the layers to compare with the module
    cold = n * (captures + measuring.WARM_UP_PASSES)

    def run(self: Executor, index: int, values: Any) -> Any:
        executed[0] += 1
        now_ns[0] += (index + 1) * 1_000_000 + (100_000_000 if executed[0] <= cold else 0)
        return run_layer(self, index, values)

    monkeypatch.setattr(Executor, "run_layer", run)
    monkeypatch.setattr(measuring.time, "perf_counter_ns", lambda: now_ns[0])
    found = measuring.measure(CHAIN, runs=runs)
    assert executed[0] == cold + 2 * runs * n
    assert [layer.time_s for layer in found.layers] == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3, 5e-3])
    assert [layer.p90_s for layer in found.layers] == [layer.time_s for layer in found.layers]
    assert found.marked_pass_s == pytest.approx([15e-3] * runs)
    assert found.pass_s == pytest.approx([15e-3] * runs)


def test_threads_are_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    measuring.measure(CHAIN, runs=1, threads=before + 1)
    assert torch.get_num_threads() == before
    with pytest.raises(ModelError):
        measuring.measure("tests.dnn.sample_models:missing", threads=before + 1)
    assert torch.get_num_threads() == before


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MachineError, match="no CUDA device"):
        measuring.measure(CHAIN, accelerator="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_layers_are_timed_on_cuda() -> None:
    found = measuring.measure(UNET, runs=5, accelerator="cuda")
    assert all(layer.time_s > 0 for layer in found.layers)
    assert "CUDA" in measuring.machine("here", "cuda", None)["framework"]
