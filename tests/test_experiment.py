"""The command line of experiments: settings, bad input and exit status; nothing is emulated."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import experiment
from testbed.config import Experiment, settings
from testbed.emulation import doctor, sandbox
from testbed.emulation.doctor import Finding
from testbed.errors import ConfigurationError
from testbed.options import OPTIONS, with_options

REPOSITORY = Path(__file__).resolve().parents[1]
KAIST = REPOSITORY / "experiments" / "kaist_inception.py"
EXPERIMENT = Experiment(name="test")


class StartedError(Exception):
    """Raised where the sandbox would replace the process."""


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that could run everything, and stops where the emulation would begin."""

    def execute(module: str, arguments: list[str]) -> None:
        raise StartedError(module, arguments)

    monkeypatch.setattr(doctor, "examine", list)
    monkeypatch.setattr(sandbox, "execute", execute)


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Forty people who walk along x from cell to cell."""
    folder = tmp_path / "traces"
    folder.mkdir()
    for person in range(40):
        lines = [f"{30 * step} {-900 + 20 * step} {10 * person}" for step in range(60)]
        (folder / f"walker_{person:02d}.txt").write_text("\n".join(lines) + "\n")
    return folder


def parsed(*arguments: str) -> Experiment:
    return with_options(EXPERIMENT, experiment.parser(EXPERIMENT).parse_args(list(arguments)))


def status_and_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        experiment.main(EXPERIMENT, list(arguments))
    printed = capsys.readouterr()
    assert not printed.out
    assert isinstance(ended.value.code, int)
    return ended.value.code, printed.err


def run(*arguments: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(KAIST), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=user,
    )


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


def test_a_folder_that_is_not_empty_is_refused_before_the_machine_is_looked_at(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("root", "missing", "not root")])
    (tmp_path / "results.txt").write_text("mine")
    status, error = status_and_error(capsys, "--out", str(tmp_path))
    assert status == 2
    assert "is not empty" in error


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


def test_an_unfit_machine_ends_with_3_and_creates_nothing(
    capsys: pytest.CaptureFixture[str],
    traces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    findings = [Finding("root", "missing", "not root [why]", "prefix the command with sudo")]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    out = tmp_path / "run"
    status, error = status_and_error(capsys, "--traces", str(traces), "--out", str(out))
    assert status == 3
    assert "not root [why]" in error
    assert not out.exists()


def test_ctrl_c_while_checking_ends_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "check", interrupt)
    assert status_and_error(capsys) == (130, "interrupted\n")


def test_a_run_starts_with_its_settings_and_movement_in_its_folder(
    traces: Path, tmp_path: Path, fit: None
) -> None:
    out = tmp_path / "run"
    with pytest.raises(StartedError) as started:
        experiment.main(
            EXPERIMENT,
            ["--traces", str(traces), "--clients", "2", "--duration", "5min", "--out", str(out)],
        )
    assert started.value.args == ("testbed.emulation", [str(out)])
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "schedule.json"]


def test_options_change_their_settings() -> None:
    given = parsed(
        *("--start", "120", "--duration", "5min", "--input-shape", "1x1x28x28"),
        *("--radius", "100", "--fraction", "43", "--retain-uploads", "--tdf", "8"),
    )
    assert (given.replay.start, given.replay.duration_s) == (120, 300)
    assert given.model.input_shape == (1, 1, 28, 28)
    assert (given.migration.radius_m, given.migration.fraction_mb) == (100, 43)
    assert (given.migration.retain_uploads, given.compute.tdf) == (True, 8)


@pytest.mark.parametrize(
    ("assignment", "section", "name", "value"),
    [
        ("wireless.up_bps=20Mbps", "wireless", "up_bps", 20e6),
        ("wireless.up_bps=20e6", "wireless", "up_bps", 20e6),
        ("wireless.queue_bytes=128kB", "wireless", "queue_bytes", 128_000),
        ("wireless.association_delay_s=20ms", "wireless", "association_delay_s", 0.02),
        ("backhaul.link_bps=none", "backhaul", "link_bps", None),
        ("traces.path=2024", "traces", "path", "2024"),
        ("traces.path=null", "traces", "path", None),
        ("traces.window_m=[0,0,10,20]", "traces", "window_m", (0, 0, 10, 20)),
        ('migration.crowded=["ap1","ap2"]', "migration", "crowded", ("ap1", "ap2")),
        ("migration.retain_uploads=true", "migration", "retain_uploads", True),
        ("replay.start=busiest", "replay", "start", "busiest"),
    ],
)
def test_set_takes_json_quantities_and_text(
    assignment: str, section: str, name: str, value: object
) -> None:
    assert getattr(getattr(parsed("--set", assignment), section), name) == value


def test_set_may_be_repeated_and_the_last_one_counts() -> None:
    given = parsed("--radius", "60", "--set", "migration.radius_m=70", "--set", "seed=4")
    assert (given.migration.radius_m, given.seed) == (70, 4)


def test_a_hybrid_backhaul_has_servers_on_fibre_and_a_rate_for_the_others(tmp_path: Path) -> None:
    (tmp_path / "servers.txt").write_text("ap3\nap17\n")
    given = parsed(
        "--fibre", str(tmp_path / "servers.txt"), "--set", "backhaul.wireless_bps=100Mbps"
    )
    assert given.backhaul.fibre == ("ap3", "ap17")
    assert given.backhaul.wireless_links(["ap3", "ap4"]) == {"ap4": 100e6}
    assert parsed().backhaul.wireless_links(["ap3", "ap4"]) == {}


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


def test_crowded_servers_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "servers.txt").write_text("ap3\nap17\n")
    given = parsed("--crowded", str(tmp_path / "servers.txt"))
    assert given.migration.crowded == ("ap3", "ap17")


def test_a_file_that_names_no_crowded_server_is_refused(tmp_path: Path) -> None:
    (tmp_path / "servers.txt").write_text("\n")
    with pytest.raises(ConfigurationError, match="names no servers"):
        parsed("--crowded", str(tmp_path / "servers.txt"))


def test_help_lists_every_setting_with_type_unit_and_default() -> None:
    shown = run("--help")
    text = " ".join(shown.stdout.split())
    assert (shown.returncode, shown.stderr) == (0, "")
    for path, _ in settings():
        assert path in text or path in {each for each, _ in OPTIONS.values()}, path
    for option in OPTIONS:
        assert f"{option} " in text
    assert "get layers (number above 0 to 10000000, m; default: 50)" in text
    assert "(integer from 1 to 200; default: 8)" in text
    assert "(number above 0, bit/s; default: 50000000)" in text
    assert "default: 1x3x224x224" in text
    assert "(auto, memo, profile or real; default: auto)" in text


@pytest.mark.parametrize(
    "arguments", [["--radius", "-1"], ["--traces", "nowhere"], ["--set", "a.b=c"], ["--bad"]]
)
def test_an_experiments_file_ends_with_2_on_bad_usage(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1


def test_configuration_comes_before_the_machine_for_whoever_is_not_root() -> None:
    user = 65534 if os.geteuid() == 0 else None
    if user is not None and not _reachable_by_anyone(REPOSITORY):
        pytest.skip(f"{REPOSITORY} cannot be read by another user")
    assert run("--radius", "-1", user=user).returncode == 2
    ended = run("--clients", "1", "--duration", "60", user=user)
    assert ended.returncode == 3
    assert "not root" in " ".join(ended.stderr.split())


def _reachable_by_anyone(folder: Path) -> bool:
    command = [sys.executable, "-c", f"import msgspec; open({str(folder / 'pyproject.toml')!r})"]
    return subprocess.run(command, user=65534, check=False, capture_output=True).returncode == 0


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of an experiment as in a fresh clone, which prints the interpreter that runs it."""
    folder = tmp_path / "clone" / "experiments"
    folder.mkdir(parents=True)
    shutil.copy(REPOSITORY / "experiments" / "_venv.py", folder)
    script = folder / "some.py"
    script.write_text("import _venv\nimport sys\nprint(sys.executable, sys.argv[1:])\n")
    return script


def test_without_packages_an_experiment_says_to_install_them(checkout: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-S", str(checkout)],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert str(checkout.parents[1] / "install.sh") in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_experiment_continues_under_the_projects_interpreter(checkout: Path) -> None:
    python = checkout.parents[1] / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    ended = subprocess.run(
        [sys.executable, str(checkout), "--radius", "50"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.stdout == f"{python} ['--radius', '50']\n"


@pytest.mark.parametrize(
    "setting", ["wireless.airtime=shared", "wireless.delay_s=2ms", "backhaul.delay_s=0.001"]
)
def test_what_cannot_be_simulated_cannot_stand_beside_its_simulation(setting: str) -> None:
    chosen = parsed("--set", "simulation.beside=true", "--set", setting)
    with pytest.raises(ConfigurationError, match=r"simulation\.beside: the same cannot"):
        experiment.check(chosen)
    experiment.check(parsed("--set", setting))
