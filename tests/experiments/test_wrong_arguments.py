"""Experiments with arguments that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.scripts import FEW, ended


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("kaist_inception", "--engine", "simulate", "--controller", __file__),
            "knows the paths of shortest_path alone",
        ),
        (("fig10_fractional", "--radius", "-5"), "--radius: migration.radius_m: Expected"),
        (("fig9_hit_ratio", "--models", "vgg"), "vgg is none of the paper's"),
        (("paper_differences", "--models", "vgg"), "vgg is none of the paper's"),
        (("fig10_fractional", "--fractions", "10,much"), "megabytes above 0"),
        (("fig10_fractional", "--fractions", "0"), "megabytes above 0"),
        (("kaist_inception", "--engine", "simulate", "--duration", "-5"), "replay.duration_s"),
        (("fig8_trajectories", "--set", "predictor.units=3"), "does not depend on it"),
        (("table3_predictors", "--set", "predictor.units=0"), "Expected int >= 1"),
        (
            ("fig9_hit_ratio", *FEW, "--set", "predictor.units=3"),
            "'svr' has no settings of its own",
        ),
        (
            ("kaist_inception", "--engine", "simulate", "--set", "wireless.association=least_time"),
            "only an emulation can",
        ),
    ],
)
def test_wrong_arguments_end_with_2_and_one_line(arguments: tuple[str, ...], said: str) -> None:
    process = ended(*arguments)
    assert process.returncode == 2
    assert said in process.stderr
    assert "Traceback" not in process.stderr


def test_traces_that_cannot_be_used_are_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "walks.txt").write_text("these are no traces\n")
    out = tmp_path / "run"
    for arguments in (
        ("--traces", str(tmp_path / "walks.txt")),
        ("--trace-format", "synthetic", "--clients", "500"),
    ):
        process = ended("hybrid_backhaul", *arguments, "--out", str(out))
        assert process.returncode == 2, process.stderr
        assert "Traceback" not in process.stderr
        assert not out.exists()
