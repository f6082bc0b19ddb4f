"""Executing ranges of layers, with the weights that are there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nodes.computing.compute
from nodes.computing.compute import Computer, Job
from nodes.computing.memo import Memo
from nodes.computing.outputs import Outputs, same_tensors, split
from nodes.setup import ComputeMode
from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.executor import Executor
from testbed.dnn.graph import INPUT
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import build_model
from testbed.dnn.placed_executor import PlacedExecutor
from testbed.dnn.tensors import joined_bytes
from testbed.errors import ProtocolError

TINY = "tests.nodes.tiny_model:factory"
TIED = "tests.dnn.sample_models:tied"


class Case:
    """A model with all its layers' weights and true outputs."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        module, examples = build_model(name, 1)
        self.captured: CapturedModel = capture(module, examples, name)
        self.graph = self.captured.graph
        self.memo = Memo(self.graph, folder, range(len(self.graph)))
        self.executor = Executor(self.captured)
        self.layers = [i for i, size in enumerate(self.graph.weight_bytes.tolist()) if size]
        self.values = self.executor.run_all(*examples)
        self.outputs: Outputs = {p: joined_bytes(tensors) for p, tensors in self.values.items()}

    def computer(self, mode: ComputeMode = "real", *, loaded: bool = True) -> Computer:
        computer = Computer(self.captured, np.full(len(self.graph), 0.5), mode, self.memo)
        for layer in self.layers if loaded else ():
            computer.load("a", layer, "", bytes(self.executor.layer_weights(layer)))
        return computer

    def job(self, first: int = 0, last: int = -1) -> Job:
        return Job("a", 7, 0, first, last % len(self.graph))

    def inputs(self, job: Job) -> Outputs:
        return {p: self.outputs[p] for p in self.graph.reads(job.first, job.last)}


@pytest.fixture(params=[TINY, TIED, "tests.dnn.sample_models:unet"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return Case(request.param, tmp_path)


def jobs(case: Case) -> list[Job]:
    n = len(case.graph)
    return [case.job(first, last) for first in range(n) for last in range(first, n)]


@pytest.mark.parametrize("mode", ["real", "memo"])
def test_every_range_of_layers_gives_the_true_outputs(case: Case, mode: ComputeMode) -> None:
    async def run() -> None:
        computer = case.computer(mode)
        case.memo.write("a", 0, case.values)
        for job in jobs(case):
            found = await computer.execute(job, case.inputs(job))
            assert tuple(found) == computer.outputs_of(job)
            for producer, data in found.items():
                assert same_tensors(case.graph, producer, data, case.outputs[producer])

    asyncio.run(run())


def test_what_is_not_kept_is_computed(case: Case) -> None:
    odd = range(1, len(case.graph), 2)
    memo = case.memo = Memo(case.graph, case.folder, odd)
    memo.write("a", 0, case.values)
    assert memo.keeps(odd) and not memo.keeps([0, 1])
    assert memo.kept_bytes == sum(len(case.outputs[p]) for p in odd)
    assert (case.folder / "a-0").stat().st_size == memo.kept_bytes

    async def run() -> None:
        computer = case.computer("memo")
        for job in jobs(case):
            for producer, data in (await computer.execute(job, case.inputs(job))).items():
                assert same_tensors(case.graph, producer, data, case.outputs[producer])

    asyncio.run(run())


def test_profile_mode_answers_zeros_of_the_right_size(case: Case) -> None:
    computer = case.computer("profile", loaded=False)
    found = asyncio.run(computer.execute(case.job(), {}))
    assert {p: bytes(data) for p, data in found.items()} == {
        p: bytes(case.graph.bytes_of(p)) for p in case.graph.outputs
    }


def test_a_job_takes_its_layers_times(case: Case) -> None:
    computer = case.computer("profile", loaded=False)
    assert computer.duration_s(case.job(0, 0)) == pytest.approx(0.5)
    assert computer.duration_s(case.job()) == pytest.approx(0.5 * len(case.graph))


def test_layers_that_are_missing_are_an_error_until_they_come(tmp_path: Path) -> None:
    async def run() -> None:
        case = Case(TINY, tmp_path)
        computer = case.computer(loaded=False)
        for layer in case.layers:
            with pytest.raises(ProtocolError, match="has no weights here"):
                await computer.execute(case.job(), case.inputs(case.job()))
            computer.load("a", layer, "", bytes(case.executor.layer_weights(layer)))
        found = await computer.execute(case.job(), case.inputs(case.job()))
        last = len(case.graph) - 1
        assert same_tensors(case.graph, last, found[last], case.outputs[last])
        computer.unload("a")
        with pytest.raises(ProtocolError, match="has no weights here"):
            await computer.execute(case.job(), case.inputs(case.job()))

    asyncio.run(run())


def test_a_layer_that_comes_while_the_model_is_being_built_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(TINY, tmp_path)
    computer = case.computer(loaded=False)
    *early, late = case.layers
    for layer in early:
        computer.load("a", layer, "", bytes(case.executor.layer_weights(layer)))

    class Building(PlacedExecutor):
        """The last layer comes as the first weights are put in place."""

        came = False

        def load_layer(self, index: int, buffer: Any) -> None:
            if not Building.came:
                Building.came = True
                computer.load("a", late, "", bytes(case.executor.layer_weights(late)))
            super().load_layer(index, buffer)

    monkeypatch.setattr(nodes.computing.compute, "PlacedExecutor", Building)
    found = asyncio.run(computer.execute(case.job(), case.inputs(case.job())))
    last = len(case.graph) - 1
    assert same_tensors(case.graph, last, found[last], case.outputs[last])


def test_tensors_of_another_number_or_length_are_refused(tmp_path: Path) -> None:
    case = Case(TINY, tmp_path)
    computer, job = case.computer("memo"), case.job()
    body = bytes(case.outputs[INPUT])
    assert computer.unpack((INPUT,), body, job)[INPUT] == body
    for producers, data in (
        ((), body),
        ((0,), body),
        ((INPUT, 0), body),
        ((INPUT, INPUT), body + body),
        ((INPUT,), body[:-1]),
        ((10_000,), body),
    ):
        with pytest.raises(ProtocolError):
            computer.unpack(producers, data, job)
    with pytest.raises(ProtocolError, match="bytes, not"):
        split(case.graph, (INPUT,), body + b"x")


def test_outputs_within_rounding_are_the_same_and_others_are_not(tmp_path: Path) -> None:
    case = Case(TINY, tmp_path)
    last = len(case.graph) - 1
    true = torch.frombuffer(bytearray(case.outputs[last]), dtype=torch.float32)
    for change, same in ((1e-8, True), (1e-2, False)):
        assert (
            same_tensors(case.graph, last, joined_bytes([true + change]), case.outputs[last])
            == same
        )
    assert not same_tensors(case.graph, last, b"short", case.outputs[last])
