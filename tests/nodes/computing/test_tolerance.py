"""What counts as the same output of a layer, in each precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nodes.computing.outputs import same_tensors
from testbed.dnn.tensors import joined_bytes
from testbed.dnn.tolerance import TOLERANCES
from testbed.settings.engines import Precision
from tests.nodes.computing.test_compute import TINY, Case


@pytest.mark.parametrize(
    ("precision", "share", "same"),
    [
        ("float32", 1e-6, True),
        ("float32", 1e-3, False),
        ("bfloat16", 1e-3, True),
        ("bfloat16", 0.05, True),
        ("bfloat16", 0.3, False),
    ],
)
def test_one_number_may_differ_by_a_share_of_the_greatest(
    precision: Precision, share: float, same: bool, tmp_path: Path
) -> None:
    case = Case(TINY, tmp_path)
    last = len(case.graph) - 1
    true = torch.frombuffer(bytearray(case.outputs[last]), dtype=torch.float32)
    changed = true.clone()
    changed[true.abs().argmin()] += share * true.abs().max()
    found = joined_bytes([changed])
    assert same_tensors(case.graph, last, found, case.outputs[last], precision) == same


def test_numbers_that_all_differ_a_little_at_random_are_another_output_in_bfloat16(
    tmp_path: Path,
) -> None:
    """Each is within a tenth of the greatest; the cosine tells them apart."""
    case = Case(TINY, tmp_path)
    last = len(case.graph) - 1
    true = torch.frombuffer(bytearray(case.outputs[last]), dtype=torch.float32)
    noise = torch.where(torch.rand(true.shape) < 0.5, 0.09, -0.09) * true.abs().max()
    found = joined_bytes([true + noise])
    assert not same_tensors(case.graph, last, found, case.outputs[last], "bfloat16")


def test_tolerances_are_told() -> None:
    assert TOLERANCES["float32"].described() == (
        "1.3e-06 of a number and 1e-05 of its tensor's greatest (1 where that is less)"
    )
    assert TOLERANCES["bfloat16"].described().endswith("cosine at least 0.995")
