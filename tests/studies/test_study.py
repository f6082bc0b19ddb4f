"""The command line of a study, and how it is carried out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from testbed.errors import ConfigurationError
from testbed.settings.experiment import Experiment, changed
from testbed.settings.options import given_settings
from testbed.studies.findings import Findings, Row, Table, means, plain
from testbed.studies.movements import Movements
from testbed.studies.study import Context, Study, carry_out, models_of, numbers, parser
from traces.recording import Recording

NOBODY = Recording((), "nobody", "synthetic")


def measure(context: Context) -> Iterator[Row]:
    """Yield a figure of each split and model; the third split is interrupted."""
    for split in range(context.movements.splits):
        for model in context.models or ["none"]:
            yield {"split": split, "model": model, "figure": float(split)}
            if split == 2:
                raise KeyboardInterrupt


def conclude(context: Context, rows: pd.DataFrame) -> Findings:
    found = [
        {"model": model, "splits": len(of), **means(of, ["figure"])}
        for model, of in rows.groupby("model", sort=False)
    ]
    return Findings(found, [Table([plain("model"), plain("splits")], found)])


def study(**more: object) -> Study:
    """A study of nobody's movements, with the settings that were asked for."""
    return Study(
        Experiment(name="study"),
        measure,
        conclude,
        load=lambda experiment, given: Movements(
            "nobody", changed(experiment, given_settings(given)), NOBODY, given.splits
        ),
        **more,  # type: ignore[arg-type]
    )


def carried_out(made: Study, *arguments: str) -> int:
    return carry_out(made, parser(made).parse_args(list(arguments)))


@pytest.mark.parametrize(("text", "found"), [("1", [1.0]), ("1,10.5,2e3", [1.0, 10.5, 2000.0])])
def test_numbers_are_read_from_a_list(text: str, found: list[float]) -> None:
    assert numbers("--fractions", text) == found


@pytest.mark.parametrize("text", ["", "1,", "much", "0", "1,-2", "nan", "inf", "1e12"])
def test_what_is_no_number_above_0_is_refused_with_its_option(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--fractions {text}: megabytes above 0"):
        numbers("--fractions", text, "megabytes above 0")


def test_models_of_the_paper_are_taken_once_in_the_order_given() -> None:
    given = parser(study(models=("mobilenet",))).parse_args(["--models", "resnet,inception,resnet"])
    assert models_of(given) == ["resnet", "inception"]


def test_a_model_that_the_paper_has_not_is_named() -> None:
    given = parser(study(models=("mobilenet",))).parse_args(["--models", "vgg,mobilenet,alexnet"])
    with pytest.raises(ConfigurationError, match="--models: alexnet, vgg is none of the paper's"):
        models_of(given)


@pytest.mark.parametrize(
    ("reads", "setting", "refused"),
    [
        (("traces.", "seed"), "replay.clients=3", True),
        (("traces.", "seed"), "policy.offer_probability=0.2", True),
        (("traces.", "seed"), "traces.test_people=9", False),
        (("traces.", "policy."), "policy.offer_probability=0.2", False),
        (("traces.", "policy."), "migration.offer_probability=0.2", False),  # as it was called
    ],
)
def test_a_setting_that_a_study_decides_is_refused(
    tmp_path: Path, reads: tuple[str, ...], setting: str, refused: bool
) -> None:
    made, out = study(reads=reads, splits=1), tmp_path / "out"
    arguments = ("--set", setting, "--out", str(out))
    if refused:
        with pytest.raises(ConfigurationError, match="study decides it, or does not depend on it"):
            carried_out(made, *arguments)
        assert not out.exists()
    else:
        assert carried_out(made, *arguments) == 0
        assert out.exists()


def test_an_option_that_a_study_does_not_read_is_none_of_its_options() -> None:
    made = parser(study(reads=("traces.",)))
    assert getattr(made.parse_args(["--test-people", "4"]), "traces.test_people") == "4"
    with pytest.raises(SystemExit) as ended:
        made.parse_args(["--policy", "ionn"])
    assert ended.value.code == 2


def test_settings_splits_and_rows_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, out = study(reads=("traces.", "seed"), models=("mobilenet", "resnet")), tmp_path / "out"
    assert carried_out(made, "--splits", "2", "--seed", "7", "--json", "--out", str(out)) == 0
    config = json.loads((out / "config.json").read_text())
    assert (config["name"], config["seed"], config["splits"]) == ("study", 7, 2)
    assert len(pd.read_csv(out / "splits.csv")) == 4
    content = json.loads(capsys.readouterr().out)
    assert content == json.loads((out / "rows.json").read_text())
    assert [(row["model"], row["splits"], row["figure"]) for row in content["rows"]] == [
        *(("mobilenet", 2, 0.5), ("resnet", 2, 0.5))
    ]


def test_a_split_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    made, out = study(models=("mobilenet", "resnet")), tmp_path / "out"
    assert carried_out(made, "--splits", "9", "--out", str(out)) == 130
    assert pd.read_csv(out / "splits.csv")["split"].tolist() == [0, 0, 1, 1]
    rows = json.loads((out / "rows.json").read_text())["rows"]
    assert [row["splits"] for row in rows] == [2, 2]


def test_a_split_that_was_whole_is_kept_though_the_next_one_had_not_begun(tmp_path: Path) -> None:
    def interrupted(context: Context) -> Iterator[Row]:
        for split in (0, 1):
            for model in context.models:
                yield {"split": split, "model": model, "figure": float(split)}
        raise KeyboardInterrupt

    made = replace(study(models=("mobilenet", "resnet")), measure=interrupted)
    assert carried_out(made, "--splits", "9", "--out", str(tmp_path / "out")) == 130
    rows = json.loads((tmp_path / "out" / "rows.json").read_text())["rows"]
    assert [row["splits"] for row in rows] == [2, 2]


def test_what_a_study_does_instead_ends_it(tmp_path: Path) -> None:
    made, out = study(instead=lambda experiment, given, movements: 3), tmp_path / "out"
    assert carried_out(made, "--out", str(out)) == 3
    assert not out.exists()
