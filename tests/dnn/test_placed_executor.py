"""Layers executed at another target give the same, within its tolerance, and look the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from benchmarks.execution import placed as filled
from nodes.computing.outputs import same_tensors
from testbed.dnn import placed_executor, target
from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.executor import Executor
from testbed.dnn.fused_executor import FusedExecutor
from testbed.dnn.graph import INPUT
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import NETWORKS, build_model
from testbed.dnn.target import REFERENCE, Precision, Target
from testbed.dnn.tensors import joined_bytes
from tests.dnn.test_fused_executor import branches

LOW = Target("cpu", "bfloat16")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Target:
    """A target on a "GPU" that is the processors by another name."""
    for module in (target, placed_executor):
        monkeypatch.setattr(module, "torch_device", lambda device: torch.device("cpu"))
    return Target("cuda")


def assert_same(
    model: CapturedModel, found: dict[int, tuple[Tensor, ...]], true: object, precision: Precision
) -> None:
    assert isinstance(true, dict)
    for producer, tensors in found.items():
        expected = true[producer]
        assert [(t.dtype, t.device) for t in tensors] == [(t.dtype, t.device) for t in expected]
        one, other = joined_bytes(tensors), joined_bytes(expected)
        assert same_tensors(model.graph, producer, one, other, precision)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("with_onednn", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_range_of_layers_gives_the_same_at_every_target(
    with_onednn: bool, precision: Precision, gpu: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One executor for all ranges: they cut its chains, and execute them whole again."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: with_onednn)
    model, query = branches()
    true, n = Executor(model).run_all(query), len(model.graph)
    for where in (REFERENCE, gpu):
        placed = filled(model, where._replace(precision=precision))
        for first, last in itertools.combinations_with_replacement(range(n), 2):
            live = {producer: true[producer] for producer in model.graph.reads(first, last)}
            assert_same(model, placed.run(first, last, live), true, precision)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """More of them wait for each other where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_papers_models_keep_the_tolerance_of_bfloat16(name: str) -> None:
    """Every output of every layer; another client's answer is another."""
    module, (query,) = build_model(name, 5)
    model = capture(module, (query,), name)
    last = len(model.graph) - 1
    true = Executor(model).run_all(query)
    found = filled(model, LOW).run(0, last, {INPUT: (query,)}, range(last + 1))
    assert_same(model, found, true, "bfloat16")
    assert found[last][0].argmax() == true[last][0].argmax()
    elsewhere = model.with_weights_of(build_model(name, 6)[0])
    other = joined_bytes(FusedExecutor(elsewhere).run(0, last, {INPUT: (query,)})[last])
    assert not same_tensors(model.graph, last, other, joined_bytes(true[last]), "bfloat16")


def test_weights_are_moved_once_and_new_ones_anew(
    gpu: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[tuple[int, ...]] = []
    place = Target.placed

    def placed(self: Target, tensor: Tensor) -> Tensor:
        moved.append(tuple(tensor.shape))
        return place(self, tensor)

    monkeypatch.setattr(Target, "placed", placed)
    model, query = branches()
    executor, n = filled(model, gpu), len(model.graph)
    first = executor.run(0, n - 1, {INPUT: (query,)})
    weights = len(moved) - 1
    assert weights > 0
    moved.clear()
    again = executor.run(0, n - 1, {INPUT: (query,)})
    assert moved == [tuple(query.shape)]
    assert_same(model, again, first, "float32")
    last = n - 1
    executor.load_layer(last, bytes(Executor(model).layer_weights(last)))
    moved.clear()
    executor.run(0, last, {INPUT: (query,)})
    assert len(moved) == 1 + len(executor.weights(last))


def test_only_float32_is_cast() -> None:
    whole, wide = torch.arange(3), torch.ones(2, dtype=torch.float64)
    assert LOW.placed(whole) is whole and LOW.placed(wide) is wide
    assert LOW.placed(torch.ones(2)).dtype == torch.bfloat16
