"""Chains of layers executed as one convolution give what the layers give."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nodes.computing.outputs import same_tensors
from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.executor import Executor
from testbed.dnn.folding import chains
from testbed.dnn.fused_executor import FusedExecutor
from testbed.dnn.graph import INPUT
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.caffe_layers import BatchNorm, Scale
from testbed.dnn.models.factory import NETWORKS, build_model
from testbed.dnn.tensors import joined_bytes
from testbed.errors import ProtocolError


class Branches(nn.Module):
    """Chains of every kind, one that two readers end, and convolutions that cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.caffe_norm, self.caffe_scale = BatchNorm(8), Scale(8)
        self.read_twice = nn.Conv2d(8, 8, 1)
        self.after = nn.ReLU()
        self.circular = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
        self.circular_norm = nn.BatchNorm2d(8, affine=False)
        self.same = nn.Conv2d(8, 4, 3, padding="same")
        self.last = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        y = self.caffe_scale(self.caffe_norm(self.depthwise(x)))
        z = self.read_twice(y)
        total = self.after(z) + z
        total = self.circular_norm(self.circular(total))
        mean: Tensor = self.same(total).mean((2, 3))
        result: Tensor = self.last(mean)
        return result


def branches() -> tuple[CapturedModel, Tensor]:
    torch.manual_seed(3)
    module, query = Branches().eval(), torch.rand(1, 3, 17, 19)
    for name, tensor in module.named_buffers():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
        assert name
    return capture(module, (query,), "branches"), query


def assert_same(model: CapturedModel, found: dict[int, tuple[Tensor, ...]], true: object) -> None:
    assert isinstance(true, dict)
    for producer, tensors in found.items():
        if producer != INPUT:
            one, other = joined_bytes(tensors), joined_bytes(true[producer])
            assert same_tensors(model.graph, producer, one, other), model.graph.layers[producer]


def test_chains_are_those_that_nothing_else_reads() -> None:
    model, _ = branches()
    names = [layer.name for layer in model.graph.layers]
    found = {tuple(names[i] for i in chain.layers): chain for chain in chains(model).values()}
    assert {each: chain.rectified for each, chain in found.items()} == {
        ("first", "norm", "relu"): True,
        ("depthwise", "caffe_norm", "caffe_scale"): False,
    }


@pytest.mark.parametrize("with_onednn", [True, False])
def test_every_range_of_layers_gives_the_same(
    with_onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: with_onednn)
    model, query = branches()
    true = Executor(model).run_all(query)
    fused, n = FusedExecutor(model), len(model.graph)
    for first, last in itertools.combinations_with_replacement(range(n), 2):
        live = {producer: true[producer] for producer in model.graph.reads(first, last)}
        found = fused.run(first, last, live)
        assert set(found) >= {p for p in model.graph.live(last + 1) if p >= first}
        assert_same(model, found, true)


def test_outputs_within_a_chain_are_returned_where_they_are_asked_for() -> None:
    model, query = branches()
    true, n = Executor(model).run_all(query), len(model.graph)
    found = FusedExecutor(model).run(0, n - 1, {INPUT: (query,)}, range(n))
    assert set(found) == set(range(n))
    assert_same(model, found, true)


def test_new_weights_are_prepared_anew_and_missing_ones_are_an_error() -> None:
    model, query = branches()
    fused = FusedExecutor(model.without_weights())
    with pytest.raises(ProtocolError, match="has no weights here"):
        fused.query(query)
    for factor in (1.0, 2.0):
        with torch.no_grad():
            model.module.get_submodule("norm").bias.fill_(factor)  # type: ignore[operator]
        true = Executor(model).run_all(query)
        for index in range(len(model.graph)):
            fused.load_layer(index, bytes(Executor(model).layer_weights(index)))
        last = len(model.graph) - 1
        assert_same(model, fused.run(0, last, {INPUT: (query,)}), true)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_papers_models_answer_as_the_plain_module_does(name: str) -> None:
    module, (query,) = build_model(name, 5)
    model = capture(module, (query,), name)
    found = FusedExecutor(model).query(query)
    torch.testing.assert_close(found, module(query))
    random = np.random.default_rng(1)
    true = Executor(model).run_all(query)
    for last in random.integers(len(model.graph), size=12).tolist():
        first = int(random.integers(last + 1))
        live = {producer: true[producer] for producer in model.graph.reads(first, last)}
        assert_same(model, FusedExecutor(model).run(first, last, live), true)
