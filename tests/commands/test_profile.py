"""`testbed profile`: layers are timed here, and the profile is one to plan with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from testbed import cli
from testbed.dnn.devices.device_file import read_profile
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.executor import Executor
from testbed.dnn.models.published import published_graph
from testbed.gpu.contention import contention_file

UNET, CHAIN = "tests.dnn.sample_models:unet", "tests.dnn.sample_models:chain"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where measured profiles go."""
    monkeypatch.setattr("testbed.dnn.devices.device_profile.MEASURED_FOLDER", tmp_path / "devices")
    return tmp_path / "devices"


@pytest.fixture
def profile(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call `testbed profile`; returns (exit status, stdout, stderr)."""

    def call(*arguments: str, command: str = "profile") -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([command, *arguments])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return call


def test_a_measured_device_is_one_to_plan_with(profile: Any, folder: Path) -> None:
    status, out, err = profile("--device", "here", "--model", UNET, "--runs", "3", "--json")
    assert status == 0
    assert "passes" in err
    summary = json.loads(out)
    assert Path(summary["file"]) == folder / "here.csv"
    assert (summary["model"], summary["layers"], summary["runs"]) == (UNET, 17, 3)
    assert summary["sum_s"] == pytest.approx(
        sum(each.time_s for each in device_profile("here").layers)
    )
    assert summary["slowest"][0]["time_s"] >= summary["slowest"][-1]["time_s"] > 0
    status, out, _ = profile("--model", UNET, "--client", "here", "--json", command="plan")
    assert status == 0
    assert json.loads(out)["local_latency_s"] == pytest.approx(summary["sum_s"])


def test_further_models_join_the_profile(
    profile: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, err = profile("--device", "here", "--model", UNET, "--threads", "100000")
    assert (status, "processors" in err) == (2, True)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64))
    for model, runs in ((UNET, "2"), (CHAIN, "3"), (UNET, "4")):
        status, out, _ = profile("--device", "here", "--model", model, "--runs", runs)
        assert status == 0
        assert "slowest layers" in out
    found = device_profile("here")
    assert {model: {layer.runs for layer in own} for model, own in found.models.items()} == {
        UNET: {4},
        CHAIN: {3},
    }
    assert found.metadata["threads"] == str(torch.get_num_threads())
    threads = str(torch.get_num_threads() + 1)
    status, _, err = profile("--device", "here", "--model", UNET, "--threads", threads)
    assert (status, "here.csv: its threads is" in err) == (2, True)
    assert device_profile("here") == found


def test_a_profile_may_lie_elsewhere(profile: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    arguments = ("--device", "here", "--model", UNET, "--runs", "2", "--out", str(path))
    assert profile(*arguments)[0] == 0
    assert device_profile(str(path)).name == "here"
    status, out, _ = profile("--show", str(path), "--json")
    assert status == 0
    assert json.loads(out)["models"][0]["model"] == UNET


def test_contention_is_measured_beside_a_profile(
    profile: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def profile_real(models: list[str], clients: tuple[int, ...], **how: Any) -> pd.DataFrame:
        asked.append((models, clients, how["accelerator"]))
        return pd.DataFrame({"request": [0, 0, 1]})

    monkeypatch.setattr(contention_file, "profile_real", profile_real)
    arguments = ("--device", "here", "--model", UNET, "--runs", "2", "--contention", "--json")
    status, out, _ = profile(*arguments)
    assert status == 0 and asked == [([UNET], (1, 2, 4, 8, 16), "cpu")]
    summary = json.loads(out)
    assert summary["contention"] == str(folder / "here.contention.parquet")
    assert summary["contention_queries"] == 2
    assert len(pd.read_parquet(summary["contention"])) == 3


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--device", "titan-xp", "--model", UNET], 2, "none of odroid-xu4, titan-xp"),
        (["--device", "a/b", "--model", UNET], 2, "--device a/b"),
        (["--device", "x.csv", "--model", UNET], 2, "--device x.csv"),
        (["--device", "here"], 2, "--model is required"),
        (["--model", UNET], 2, "--device --show is required"),
        (["--device", "here", "--model", "mobilnet"], 2, "did you mean 'mobilenet'"),
        (["--device", "here", "--model", UNET, "--runs", "0"], 2, "--runs 0"),
        (["--device", "here", "--model", UNET, "--threads", "-1"], 2, "--threads -1"),
        (["--device", "here", "--model", UNET, "--input-shape", "1xA"], 2, "--input-shape 1xA"),
        (["--device", "here", "--model", UNET, "--out", "x.txt"], 2, "must end with .csv"),
        (["--show", "nowhere"], 2, "unknown device 'nowhere'"),
        (["--show", "titan-xp", "--device", "here"], 2, "not allowed with"),
    ],
)
def test_profile_refuses(
    profile: Any, folder: Path, arguments: list[str], status: int, said: str
) -> None:
    ended, out, err = profile(*arguments)
    assert (ended, out) == (status, "")
    assert said in err
    assert not folder.exists()


def test_an_interrupted_measurement_changes_nothing(
    profile: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--device", "here", "--model", UNET, "--runs", "2")
    assert profile(*arguments)[0] == 0
    before = (folder / "here.csv").read_bytes()
    run_layer, executed = Executor.run_layer, [0]

    def interrupted(self: Executor, index: int, values: Any) -> Any:
        executed[0] += 1
        if executed[0] == 70:
            raise KeyboardInterrupt
        return run_layer(self, index, values)

    monkeypatch.setattr(Executor, "run_layer", interrupted)
    assert profile(*arguments)[0] == 130
    assert (folder / "here.csv").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["here.csv"]


def test_a_file_of_something_else_is_not_replaced(profile: Any, folder: Path) -> None:
    folder.mkdir()
    (folder / "here.csv").write_text("my shopping list\n")
    status, _, err = profile("--device", "here", "--model", UNET)
    assert (status, "here.csv" in err) == (2, True)
    assert (folder / "here.csv").read_text() == "my shopping list\n"


def test_show_prints_models_and_errors(profile: Any) -> None:
    status, out, _ = profile("--show", "odroid-xu4", "--json")
    assert status == 0
    shown = json.loads(out)
    assert shown["metadata"]["device"] == "odroid-xu4"
    assert "IONN" in shown["metadata"]["source"]
    graph = published_graph("resnet")
    models = {each["model"]: each for each in shown["models"]}
    assert models["resnet"]["layers"] == len(graph)
    assert models["resnet"]["sum_s"] == pytest.approx(2.9336, abs=1e-4)
    errors = {
        (each["method"], each["by"], each["group"]): each for each in shown["estimation_errors"]
    }
    for method in ("leave one model out", "10-fold over layers"):
        whole = errors[method, "all", "all"]
        types = [each for key, each in errors.items() if key[:2] == (method, "type")]
        assert whole["layers"] == sum(each["layers"] for each in types) == 640
        total_s = sum(each["layers"] * each["mae_s"] for each in types)
        assert whole["mae_s"] == pytest.approx(total_s / 640)
    _, text, _ = profile("--show", "odroid-xu4")
    assert "leave one model out" in text
    assert "Convolution" in text
    assert f"{errors['leave one model out', 'model', 'resnet']['sum_relative']:+.1%}" in text


def test_show_says_when_there_is_too_little_to_estimate_from(profile: Any) -> None:
    assert profile("--device", "here", "--model", CHAIN, "--runs", "2")[0] == 0
    assert "too few layers" in profile("--show", "here")[1]
    assert json.loads(profile("--show", "here", "--json")[1])["estimation_errors"] == []
    status, out, err = profile("--model", UNET, "--server", "here", command="plan")
    assert (status, out) == (2, "")
    assert "device 'here'" in err


def test_times_are_stored_to_the_nanosecond(profile: Any, folder: Path) -> None:
    assert profile("--device", "here", "--model", CHAIN, "--runs", "4")[0] == 0
    _, layers = read_profile(folder / "here.csv")
    assert all(layer.time_s == round(layer.time_s, 9) for layer in layers)
