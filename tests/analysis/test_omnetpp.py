"""OMNeT++ result files, read back by a reader that knows nothing of the writer.

It keeps to the grammar that OMNeT++'s own loader enforces: which line may follow which, how many
tokens each has, numbers where numbers belong, bin edges and vector times that never fall.
"""

from __future__ import annotations

import math
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed.analysis.omnetpp import line, token, write_omnetpp
from testbed.analysis.summary import summarise
from testbed.runs.folder import RunFolder
from testbed.runs.records import collect, read_table, read_tables
from tests.analysis.fake_run import make_run


@dataclass
class Item:
    """A scalar, parameter, statistic or vector with what was said of it."""

    kind: str
    module: str
    name: str
    value: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    fields: dict[str, float] = field(default_factory=dict)
    bins: list[tuple[float, float]] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class Results:
    """One file."""

    run: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    itervars: dict[str, str] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)

    def of(self, kind: str, module: str, name: str) -> Item:
        (item,) = [i for i in self.items if (i.kind, i.module, i.name) == (kind, module, name)]
        return item


def tokens(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.quotes = '"'
    lexer.escapedquotes = '"'
    return list(lexer)


def read(path: Path) -> Results:
    results = Results()
    vectors: dict[str, Item] = {}
    item: Item | None = None
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "version 3"
    for text in lines[1:]:
        words = tokens(text)
        if not words or words[0].startswith("#"):
            continue
        kind, rest = words[0], words[1:]
        assert kind == "run" or results.run, f"before any run: {text}"
        if kind == "run":
            assert not results.run and len(rest) == 1
            results.run = rest[0]
        elif kind == "attr":
            name, value = rest
            (item.attributes if item else results.attributes)[name] = value
        elif kind in ("itervar", "config"):
            assert item is None, f"not under a run: {text}"
            name, value = rest
            (results.itervars if kind == "itervar" else results.config)[name] = value
        elif kind in ("scalar", "par"):
            item = Item(kind, *rest)
            assert len(rest) == 3
            if kind == "scalar":
                float(item.value)
            results.items.append(item)
        elif kind == "statistic":
            module, name = rest
            item = Item(kind, module, name)
            results.items.append(item)
        elif kind == "field":
            assert item is not None and item.kind == "statistic" and not item.bins
            name, value = rest
            item.fields[name] = float(value)
        elif kind == "bin":
            assert item is not None and item.kind == "statistic"
            edge, count = map(float, rest)
            assert not item.bins or edge > item.bins[-1][0]
            item.bins.append((edge, count))
        elif kind == "vector":
            number, module, name, columns = rest
            assert columns == "TV" and number.isdigit() and number not in vectors
            item = vectors[number] = Item(kind, module, name)
            results.items.append(item)
        else:
            time_s, value = map(float, rest)
            points = vectors[kind].points
            assert not points or time_s >= points[-1][0]
            points.append((time_s, value))
    return results


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    folder = make_run(tmp_path_factory.mktemp("omnetpp") / "a run")
    collect(folder.path)
    servers = [each.name for each in folder.read_schedule().access_points]
    folder.write_json("summary", summarise(read_tables(folder.path), servers, "good"))
    config = {
        "seed": 7,
        "migration": {"policy": "perdnn", "radius_m": 50.0, "fraction_mb": None},
        "model": {"name": 'odd "name" of\na model'},
    }
    folder.write_json("config", config)
    return folder


@pytest.fixture(scope="module")
def files(run: RunFolder) -> tuple[Path, Path]:
    return write_omnetpp(run)


def test_both_files_say_which_run_it_is(run, files):
    scalars, vectors = map(read, files)
    assert scalars.run == vectors.run
    assert scalars.attributes == vectors.attributes
    assert {"configname", "datetime", "experiment", "measurement", "network", "replication"} <= (
        scalars.attributes.keys()
    )
    assert scalars.itervars["policy"] == "perdnn"
    assert scalars.itervars["radius"] == "50"
    assert scalars.itervars["seed"] == "7"
    assert scalars.config["migration.policy"] == "perdnn"
    assert scalars.config["model.name"].startswith('odd "name"')


def test_scalars_are_the_summarys_with_units(run, files):
    results, summary = read(files[0]), run.read_json("summary")
    network = results.attributes["network"]
    for key, value in summary.items():
        if isinstance(value, (int, float)):
            assert float(results.of("scalar", network, key).value) == pytest.approx(value)
    assert results.of("scalar", network, "median_latency_s").attributes == {"unit": "s"}
    assert results.of("scalar", network, "migrated_bytes").attributes == {"unit": "B"}


def test_parameters_tell_where_access_points_stand(run, files):
    results = read(files[0])
    place = run.read_schedule().access_points[3]
    module = f"{results.attributes['network']}.{place.name}"
    parameter = results.of("par", module, "x")
    assert float(parameter.value) == pytest.approx(place.x_m)
    assert parameter.attributes == {"unit": "m"}


def test_statistics_are_those_of_the_queries(run, files):
    results = read(files[0])
    latency_s = read_table(run.path, "queries")["latency_s"]
    item = results.of("statistic", results.attributes["network"], "queryTime")
    assert item.fields["count"] == len(latency_s)
    assert item.fields["mean"] == pytest.approx(latency_s.mean())
    assert item.fields["stddev"] == pytest.approx(latency_s.std())
    assert item.fields["sqrsum"] == pytest.approx((latency_s**2).sum())
    assert (item.fields["min"], item.fields["max"]) == pytest.approx(
        (latency_s.min(), latency_s.max())
    )
    assert item.bins[0] == (-math.inf, 0)
    assert sum(count for _, count in item.bins) == len(latency_s)
    assert item.bins[-1][1] == 0


def test_vectors_are_the_rates_and_query_times(run, files):
    results = read(files[1])
    network = results.attributes["network"]
    backhaul = read_table(run.path, "backhaul")
    row = backhaul.iloc[len(backhaul) // 2]
    name = f"{row['direction']}:{row['cause']}:vector"
    vector = results.of("vector", f"{network}.{row['server']}", name)
    assert vector.attributes["unit"] == "Mbps"
    schedule = run.read_schedule()
    assert len(vector.points) == math.ceil(schedule.duration_s / schedule.interval_s)
    time_s, rate_mbps = vector.points[row["interval"]]
    assert time_s == row["interval"] * schedule.interval_s
    assert rate_mbps == pytest.approx(row["mbps"])
    queries = read_table(run.path, "queries")
    client = queries["client"].iloc[0]
    own = queries[queries["client"] == client].sort_values("answered_s")
    vector = results.of("vector", f"{network}.{client}", "queryTime:vector")
    assert [value for _, value in vector.points] == pytest.approx(own["latency_s"].tolist())
    assert vector.attributes["unit"] == "s"


@pytest.mark.parametrize("text", ["", "a b", 'say "hi"', "back\\slash", "#no comment", "plain"])
def test_tokens_come_back_as_they_were(text):
    assert tokens(line("attr", "name", text)) == ["attr", "name", text]


def test_a_plain_token_is_not_quoted():
    assert token("uplink:vector") == "uplink:vector"
    assert token(0.1 + 0.2) == "0.3"


@pytest.mark.skipif(shutil.which("opp_scavetool") is None, reason="OMNeT++ is not installed")
def test_omnetpps_own_tool_reads_them(files):
    for path in files:
        subprocess.run(["opp_scavetool", "query", "-l", str(path)], check=True, timeout=60)
