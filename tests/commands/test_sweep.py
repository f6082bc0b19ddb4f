"""`testbed sweep`, as a user calls it: resumed, killed, interrupted, and with runs that fail."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from testbed import cli
from testbed.emulation.fitness import examination
from testbed.emulation.fitness.examination import Finding
from testbed.runs import series
from testbed.sweep import execution
from tests.sweep.studies import COMPLETE, SMALL, Sweep, alive, runs_in, start, wait_until

RADII = ("--vary", "radius=50,75,100")
WAITING = (*RADII, "--policy", "fickle:Waiting", "--jobs", "2")


def statuses(folder: Path) -> dict[str, str]:
    with (folder / "runs.csv").open() as lines:
        return {row["id"]: row["status"] for row in csv.DictReader(lines)}


def test_it_runs_and_prints_and_does_nothing_twice(sweep: Sweep, place: Path) -> None:
    arguments = (*RADII, "--vary", "policy=ionn,perdnn", "--repeat", "2")
    constraint = ("--constraint", "policy == 'perdnn' or radius == 50")
    ended = sweep(*arguments, *constraint)
    assert ended.status == 0, ended.err
    made = runs_in(place / "out")
    assert len(made) == 8
    assert {path.name for path in (place / "out").iterdir()} - made.keys() == {
        *("sweep.json", "sweep.lock", "runs.csv", "table.csv")
    }
    assert "±" in ended.out
    again = sweep(*arguments, *constraint, "--json")
    assert (again.status, runs_in(place / "out")) == (0, made)
    content = json.loads(again.out)
    assert [(row["policy"], row["radius"], row["n"]) for row in content["rows"]] == [
        *(("ionn", 50, 2), ("perdnn", 50, 2), ("perdnn", 75, 2), ("perdnn", 100, 2))
    ]
    assert (content["failed"], content["folder"]) == ([], str(place / "out"))
    for row in content["rows"]:
        of = (place / "out").glob(f"policy={row['policy']},radius={row['radius']},*/summary.json")
        queries = [json.loads(path.read_text())["queries"] for path in of]
        assert row["queries"] == sum(queries) / 2
        assert row["queries_ci95"] == pytest.approx(12.7062 * abs(queries[0] - queries[1]) / 2)
    config = json.loads((place / "out/policy=ionn,radius=50,#1,seed=2/config.json").read_text())
    assert (config["seed"], config["migration"]["policy"]) == (2, "ionn")
    more = sweep(*arguments, "--json")
    assert more.status == 0
    assert made.items() <= runs_in(place / "out").items()
    assert len(json.loads(more.out)["rows"]) == 6


@pytest.mark.slow
def test_the_number_of_jobs_changes_nothing(sweep: Sweep, place: Path) -> None:
    """To the byte, also where a neural network learns in the run."""
    arguments = ("--vary", "policy=perdnn,visits", "--repeat", "2")
    outputs = {
        jobs: json.loads(sweep(*arguments, "--jobs", str(jobs), "--json", out=f"out{jobs}").out)
        for jobs in (1, 2)
    }
    assert outputs[1]["rows"] == outputs[2]["rows"]
    assert outputs[1]["rows"][0]["queries"] != outputs[1]["rows"][1]["queries"]
    assert len(runs_in(place / "out1")) == 4
    for run in runs_in(place / "out1"):
        for name in ("summary.json", "config.json", "queries.parquet", "transfers.parquet"):
            one, two = (place / f"out{jobs}" / run / name for jobs in (1, 2))
            assert one.read_bytes() == two.read_bytes()
    for name in ("runs.csv", "table.csv"):
        assert (place / "out1" / name).read_bytes() == (place / "out2" / name).read_bytes()


def test_a_sweeps_run_is_that_of_the_experiment_alone(sweep: Sweep, place: Path) -> None:
    sweep("--vary", "radius=75", "--figures")
    command = [sys.executable, "-m", "testbed.cli", "run", "small.json"]
    alone = subprocess.run(
        [*command, "--radius", "75", "--out", "alone"], check=True, capture_output=True
    )
    assert b"fidelity: not applicable" in alone.stderr
    made = place / "out" / "radius=75,#0,seed=1"
    assert {path.name for path in made.iterdir()} == {p.name for p in (place / "alone").iterdir()}
    assert (made / "summary.json").read_text() == (place / "alone" / "summary.json").read_text()
    assert "<title>out radius=75" in (made / "report.html").read_text()


def test_runs_that_fail_are_listed_and_the_others_go_on(sweep: Sweep, place: Path) -> None:
    arguments = (*RADII, "--policy", "fickle:Failing", "--repeat", "2", "--jobs", "2")
    ended = sweep(*arguments)
    assert ended.status == 1
    assert ended.out.count("RuntimeError: no luck at 100 m") == 2
    assert "radius=100,#1,seed=2" in ended.out
    assert "noise" not in ended.out
    assert list(statuses(place / "out").values()).count("complete") == 4
    log = (place / "out" / "radius=100,#0,seed=1" / "log.txt").read_text()
    assert "fickle.py" in log
    made = runs_in(place / "out")
    (place / "fickle.py").write_text((place / "fickle.py").read_text().replace("== 100", "== 99"))
    again = sweep(*arguments, "--json")
    assert again.status == 0, again.out
    now = runs_in(place / "out")
    assert {run for run in made if now[run] != made[run]} == {
        *("radius=100,#0,seed=1", "radius=100,#1,seed=2")
    }
    assert json.loads(again.out)["failed"] == []


def test_a_run_that_ends_its_process_costs_no_other_run(sweep: Sweep, place: Path) -> None:
    ended = sweep(
        "--vary", "radius=100,50,75", "--policy", "fickle:Deadly", "--jobs", "2", "--json"
    )
    assert ended.status == 1
    content = json.loads(ended.out)
    (failed,) = content["failed"]
    assert failed["id"] == "radius=100,#0,seed=1"
    assert "its process died" in failed["reason"]
    assert [row["n"] for row in content["rows"]] == [0, 1, 1]
    assert list(statuses(place / "out").values()) == ["failed", "complete", "complete"]


def test_after_kill_9_no_run_is_lost_and_none_made_twice(sweep: Sweep, place: Path) -> None:
    """It is killed while one run is under way and the others are done."""
    sweeping = start(*WAITING)
    wait_until(lambda: (place / "waits").exists() and len(runs_in(place / "out")) == 2)
    family = psutil.Process(sweeping.pid).children(recursive=True)
    assert int((place / "waits").read_text()) in {process.pid for process in family}
    sweeping.kill()
    sweeping.communicate(timeout=30)
    wait_until(lambda: not any(alive(process.pid) for process in family))
    done = runs_in(place / "out")
    assert set(done) == {"radius=50,#0,seed=1", "radius=75,#0,seed=1"}
    half = list((place / "out" / ".partial").glob("*/out/radius=100,#0,seed=1/schedule.json"))
    assert len(half) == 1
    (place / "go").touch()
    ended = sweep(*WAITING, "--json")
    assert ended.status == 0
    assert [row["n"] for row in json.loads(ended.out)["rows"]] == [1, 1, 1]
    assert done.items() < runs_in(place / "out").items()
    assert len(runs_in(place / "out")) == 3
    assert not (place / "out" / ".partial").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    sweep: Sweep, place: Path, number: signal.Signals
) -> None:
    sweeping = start(*WAITING)
    wait_until(lambda: (place / "waits").exists() and len(runs_in(place / "out")) == 2)
    refused = sweep(*WAITING)
    assert refused.status == 2
    assert "another sweep is at work" in refused.err
    family = psutil.Process(sweeping.pid).children(recursive=True)
    sweeping.send_signal(number)
    out, err = sweeping.communicate(timeout=30)
    assert sweeping.returncode == 130, err
    assert "interrupted with 1 runs to go; the same command goes on" in err
    assert "Traceback" not in err
    assert "±" in out
    wait_until(lambda: not any(alive(process.pid) for process in family))
    done = runs_in(place / "out")
    assert statuses(place / "out") == {
        "radius=50,#0,seed=1": "complete",
        "radius=75,#0,seed=1": "complete",
        "radius=100,#0,seed=1": "pending",
    }
    (place / "go").touch()
    assert sweep(*WAITING).status == 0
    assert done.items() < runs_in(place / "out").items()


def test_emulated_runs_follow_the_simulated_ones_by_themselves(
    sweep: Sweep, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulations are stand-ins, which fail unless the simulations are all in their places."""
    after = f"assert len(list(out.parents[3].glob('engine=simulate*'))) == 2\n{COMPLETE}"
    after = after.replace("assert", "import pathlib, sys\nout = pathlib.Path(sys.argv[2])\nassert")
    monkeypatch.setattr(
        series, "command", lambda config, out: [sys.executable, "-c", after, str(config), str(out)]
    )
    monkeypatch.setattr(execution, "MACHINE_LOCK", place / "lock")
    monkeypatch.setattr(examination, "examine", list)
    ended = sweep("--vary", "engine=emulate,simulate", "--repeat", "2", "--json")
    assert ended.status == 0, ended.out
    assert [(row["engine"], row["n"]) for row in json.loads(ended.out)["rows"]] == [
        *(("emulate", 2), ("simulate", 2))
    ]


def test_the_machine_is_looked_at_once_before_anything_is_made(
    sweep: Sweep, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def examine() -> list[Finding]:
        looked.append(1)
        return [Finding("root", "missing", "not root", "sudo")]

    monkeypatch.setattr(examination, "examine", examine)
    ended = sweep("--vary", "engine=emulate,simulate", "--repeat", "2")
    assert (ended.status, ended.out, looked) == (3, "", [1])
    assert "not root" in ended.err
    assert not (place / "out").exists()
    assert sweep("--vary", "radius=50").status == 0
    assert looked == [1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--vary", "radius=50,-5"), "radius=-5: migration.radius_m"),
        (("--vary", "radus=50"), "did you mean 'radius'"),
        (("--vary", "policy=ionn,fickle:None"), "policy=fickle:None: policy"),
        (("--vary", "traces.format=auto", "--vary", "traces=nowhere"), "no such folder or file"),
        (("--constraint", "radius > 1"), "nothing varies"),
        (("--vary", "engine=simulate,emulate", "--duration", "all"), "engine=emulate: replay"),
        (("--jobs", "0"), "--jobs 0"),
        (("--repeat", "0"), "--repeat 0"),
        (("--backend", "dask"), "name its scheduler"),
        (("--scheduler", "tcp://127.0.0.1:1"), "goes with --backend dask"),
        (("--backend", "dask", "--scheduler", "tcp://h:1", "--jobs", "2"), "--jobs"),
        (("--backend", "dask", "--scheduler", "h"), "--scheduler h: no Dask scheduler"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line_before_anything_is_made(
    sweep: Sweep, place: Path, arguments: tuple[str, ...], said: str
) -> None:
    ended = sweep(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert not (place / "out").exists()


def test_without_a_folder_named_it_has_one_of_its_own_among_the_results(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same one for more values."""
    monkeypatch.setattr("testbed.repository.RESULTS", place / "results")
    (place / "declared.py").write_text(
        f"from testbed.settings.experiment import from_dict\nWALK = from_dict({SMALL!r})\n"
    )
    folders = set()
    for values in ("50", "50,75"):
        with pytest.raises(SystemExit) as ended:
            cli.main(["sweep", "declared.py", "--vary", f"radius={values}", "--json"])
        assert ended.value.code == 0
        folders.add(Path(json.loads(capfd.readouterr().out)["folder"]))
    (folder,) = folders
    assert folder.parent == place / "results" / "small"
    assert folder.name.startswith("sweep-")
    assert len(runs_in(folder)) == 2
