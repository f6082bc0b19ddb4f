"""Settings that cannot be used are refused by name, before anything is created."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from testbed.checks import beside_obstacle, check
from testbed.errors import ConfigurationError
from tests.command_line import parsed, status_and_error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--radius", "-1"], "migration.radius_m"),
        (["--radius", "nan"], "migration.radius_m"),
        (["--set", "migration.radius_m=NaN"], "migration.radius_m"),
        (["--set", "migration.raduis_m=5"], "did you mean 'migration.radius_m'"),
        (["--set", "migration.radius_m"], "path.to.setting=value"),
        (["--clients", "0"], "replay.clients"),
        (["--clients", "many"], "replay.clients"),
        (["--duration", "all"], "replay.duration_s: an emulation needs a window"),
        (["--duration", "5parsecs"], "replay.duration_s: '5parsecs'"),
        (["--duration", "inf"], "replay.duration_s"),
        (["--start", "noon"], "replay.start"),
        (["--engine", "dream"], "engine"),
        (["--model", "incepton"], "did you mean 'inception'"),
        (["--model", "no.such.module:factory"], "no.such.module"),
        (["--model", "math:pi"], "not callable"),
        (["--model", "builtins:dict"], "nn.Module"),
        (["--input-shape", "1x3xwide"], "model.input_shape"),
        (["--input-shape", "1x0x224"], "model.input_shape"),
        (["--set", "model.planner=shortest"], "model.planner: expected all_client"),
        (["--set", "server.estimator=tree"], "server.estimator: expected forest"),
        (
            ["--set", "server.estimator=forest", "--engine", "simulate"],
            "server.estimator: the simulator's servers",
        ),
        (
            ["--set", "server.estimator=ll", "--model", "tests.dnn.sample_models:attention"],
            "has layers of other types",
        ),
        (["--set", "model.planner=static"], "model.static_cut: the planner static needs"),
        (
            ["--set", "model.planner=static", "--set", "model.static_cut=conv_x"],
            "inception has no layer 'conv_x'",
        ),
        (
            ["--policy", "handoff", "--set", "policy.image_mb=2000"],
            "migration.policy: images of 2000 MB beside the model",
        ),
        (
            ["--policy", "handoff", "--engine", "simulate", "--set", "policy.image_mb=-1"],
            "image_mb",
        ),
        (
            ["--policy", "download", "--engine", "simulate", "--set", "policy.cloud_bps=0"],
            "cloud_bps",
        ),
        (["--policy", "follow_me", "--set", "policy.threshold_m=-5"], "threshold_m"),
        (["--policy", "popular", "--set", "policy.servers=0"], "servers"),
        (["--policy", "perdn"], "did you mean 'perdnn'"),
        (["--policy", "math:pi"], "no subclass"),
        (["--controller", "short_path"], "did you mean 'shortest_path'"),
        (["--controller", "missing.py"], "missing.py does not exist"),
        (["--set", "migration.predictor=svm"], "did you mean 'svr'"),
        (["--set", "model.client_device=odroid"], "did you mean 'odroid-xu4'"),
        (["--topology", "trie"], "did you mean 'tree'"),
        (["--topology", "missing.py:x"], "missing.py does not exist"),
        (["--traces", "nowhere"], "nowhere: no such folder"),
        (["--crowded", "nowhere"], "--crowded nowhere"),
        (["--crowded", sys.executable], "is no text"),
        (["--crowded", ""], "--crowded: names no run or file"),
        (["--no-such-option"], "--no-such-option"),
        (["--radiu", "5"], "--radiu"),
    ],
)
def test_bad_usage_ends_with_2_and_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    status, error = status_and_error(capsys, *arguments)
    assert (status, error.count("\n")) == (2, 1), error
    assert error.startswith("error: ")
    assert said in error


def test_an_empty_trace_folder_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, error = status_and_error(capsys, "--traces", str(tmp_path))
    assert status == 2
    assert str(tmp_path) in error
    assert "no trace files" in error


def test_a_malformed_trace_line_is_named_with_its_file(
    capsys: pytest.CaptureFixture[str], traces: Path
) -> None:
    (traces / "walker_99.txt").write_text("0 0 0\n30 1 1\n60 one 2\n")
    status, error = status_and_error(capsys, "--traces", str(traces))
    assert status == 2
    assert f"{traces / 'walker_99.txt'}:3:" in error


def test_a_topology_file_without_topos_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from mininet.topo import Topo\n")
    status, error = status_and_error(capsys, "--topology", f"{file}:mine")
    assert status == 2
    assert f"{file} has no dictionary `topos`" in error


def test_crowded_servers_must_be_servers_of_these_traces(
    capsys: pytest.CaptureFixture[str], traces: Path, tmp_path: Path, fit: None
) -> None:
    names = tmp_path / "crowded.txt"
    names.write_text("ap1\nap9999\n")
    status, error = status_and_error(
        capsys, "--traces", str(traces), "--crowded", str(names), "--duration", "300"
    )
    assert status == 2
    assert "no server 'ap9999'" in error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (['backhaul.fibre=["ap1"]'], "give backhaul.wireless_bps"),
        (["backhaul.wireless_bps=100Mbps", 'backhaul.fibre=["ap9999"]'], "no server 'ap9999'"),
        (["engine=simulate", "backhaul.migration_class=lower"], "backhaul.migration_class"),
        (["backhaul.wireless_bps=1"], "backhaul.wireless_bps: 1 bit/s"),
    ],
)
def test_a_hybrid_backhaul_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], traces: Path, fit: None, changes: list[str], message: str
) -> None:
    given = [part for change in changes for part in ("--set", change)]
    status, error = status_and_error(capsys, "--traces", str(traces), "--duration", "300", *given)
    assert status == 2
    assert message in error


@pytest.mark.parametrize(
    "setting",
    [
        *("wireless.airtime=shared", "wireless.delay_s=2ms", "backhaul.delay_s=0.001"),
        "server.estimator=forest",
    ],
)
def test_what_cannot_be_simulated_cannot_stand_beside_its_simulation(setting: str) -> None:
    chosen = check(parsed("--set", setting))
    assert (setting.partition("=")[0]) in (beside_obstacle(chosen) or "")
    assert beside_obstacle(check(parsed())) is None


def test_what_was_checked_has_every_setting_of_its_policy_and_predictor() -> None:
    visits = check(parsed("--policy", "visits", "--set", "policy.offer_probability=0.2"))
    assert visits.policy == {"offer_probability": 0.2, "keep_probability": 0.005}
    rnn = check(parsed("--predictor", "rnn"))
    assert (rnn.policy, rnn.predictor) == ({}, {"units": 32})
    assert check(rnn) == rnn


def test_a_model_that_bfloat16_cannot_execute_is_refused_before_an_emulation() -> None:
    low = ("--set", "compute.precision=bfloat16")
    check(parsed("--model", "tests.dnn.sample_models:chain", *low))
    bessel = ("--model", "tests.dnn.sample_models:bessel", *low)
    said = r"compute\.precision: .*bessel cannot be executed"
    with pytest.raises(ConfigurationError, match=said):
        check(parsed(*bessel))
    check(parsed(*bessel, "--engine", "simulate"))
