"""Figures and report of a run folder, and the analysis of its captures."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser

import pytest

from testbed.analysis.captures.pcapng_writer import to_pcapng
from testbed.analysis.figures.run_figures import CAPTIONS, draw_figures
from testbed.analysis.html_report import write_report
from testbed.analysis.summary import summarise
from testbed.analysis.traffic.traffic_analysis import analyze_run
from testbed.errors import CaptureError, ConfigurationError
from testbed.runs.folder import RunFolder
from testbed.runs.records import collect, read_tables
from testbed.values import AccessPoint, Schedule
from tests.analysis.crafted_captures import ORIGIN_UNIX_S, backhaul_capture
from tests.analysis.fake_run import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "run")
    draw_figures(folder)
    return folder


@pytest.fixture
def idle_run(tmp_path):
    """A run without clients and without traffic."""
    folder = RunFolder.at(tmp_path / "run")
    collect(folder.path)
    folder.write_schedule(
        Schedule("none", 0.0, 45.0, 30.0, (AccessPoint("ap0", 0.0, 0.0),), {}, (), ())
    )
    for document in ("config", "manifest"):
        folder.write_json(document, {})
    folder.write_json("fidelity", {"verdict": "invalid"})
    folder.write_json("summary", summarise(read_tables(folder.path), ["ap0"], "invalid"))
    return folder


class Page(HTMLParser):
    """The tags and texts of a page, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_every_figure_is_drawn_as_png_and_svg(run):
    for name in CAPTIONS:
        assert (run.figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (run.figures / f"{name}.svg").read_text(encoding="utf-8")


def test_an_idle_run_has_figures_and_a_report_too(idle_run):
    assert len(draw_figures(idle_run)) == len(CAPTIONS)
    page = Page(write_report(idle_run).read_text(encoding="utf-8"))
    assert "Fidelity: invalid." in page.texts


def test_the_report_says_first_whether_to_believe_it_and_needs_no_other_file(run):
    page = Page(write_report(run).read_text(encoding="utf-8"))
    texts = [text for text in page.texts if text]
    assert texts.index("Fidelity: good.") < texts.index("Summary") < texts.index("Figures")
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == len(CAPTIONS)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert {"radius_m", "queries.parquet", "figures/map.svg"} <= set(texts)


def test_the_report_escapes_what_it_shows(idle_run):
    idle_run.write_json("config", {"model": "<script>alert(1)</script>"})
    text = write_report(idle_run).read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_runs_captures_are_read_with_the_manifests_clock(run):
    run.pcap.mkdir(exist_ok=True)
    raw = backhaul_capture(run.pcap / "raw.pcap")
    to_pcapng({raw: {5: "ap1", 6: "ap2"}}, run.pcap / "backhaul.pcapng")
    manifest = run.read_json("manifest")
    run.write_json("manifest", {**manifest, "origin_unix_s": ORIGIN_UNIX_S - 30, "tdf": 2})
    found = analyze_run(run, 15.0)
    assert set(found.backhaul["interval"]) == {1, 2}
    assert found.figures()["totals"]["packets"] == 7
    assert len(found.figures()["servers"]) == 42


def test_a_run_without_captures_says_so(idle_run):
    with pytest.raises(CaptureError, match="holds no captures"):
        analyze_run(idle_run, 30.0)


def test_the_report_tells_how_the_simulation_of_the_same_agrees(idle_run):
    assert "Beside the simulator" not in write_report(idle_run).read_text(encoding="utf-8")
    total = {"key": "queries", "emulated": 200, "simulated": 201, "difference": 0.005}
    idle_run.write_json(
        "agreement",
        {
            "totals": [total],
            "agreeing_handovers_share": 0.975,
            "disagreements": ["uploads: <too much>"],
            "handovers": [],
        },
    )
    text = write_report(idle_run).read_text(encoding="utf-8")
    assert "97.5% of the handovers" in text
    assert "+0.5%" in text and "Queries answered" in text
    assert "uploads: &lt;too much&gt;" in text


@pytest.fixture
def captured(run, tmp_path):
    """A run's folder with a capture and addresses."""
    folder = RunFolder(shutil.copytree(run.path, tmp_path / "captured"))
    shutil.rmtree(folder.pcap, ignore_errors=True)
    folder.pcap.mkdir()
    raw = backhaul_capture(tmp_path / "raw.pcap")
    to_pcapng({raw: {5: "ap1", 6: "ap2"}}, folder.pcap / "backhaul.pcapng")
    addresses = {"ap1": "10.0.0.1", "ap2": "10.0.0.2"}
    clock = {"origin_unix_s": ORIGIN_UNIX_S, "tdf": 1, "addresses": addresses}
    folder.write_json("manifest", {**run.read_json("manifest"), **clock})
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origin_unix_s": None}, "ended before its clock started"),
        ({"origin_unix_s": "x"}, r"manifest\.json.*origin_unix_s"),
        ({"tdf": 0}, r"manifest\.json.*tdf"),
        ({"tdf": None}, r"manifest\.json.*tdf"),
        ({"addresses": []}, r"manifest\.json.*addresses"),
    ],
)
def test_a_damaged_manifest_is_named(captured, change, message):
    captured.write_json("manifest", {**captured.read_json("manifest"), **change})
    with pytest.raises(ConfigurationError, match=message):
        analyze_run(captured)


@pytest.mark.parametrize(
    ("key", "value"), [("duration_s", 0), ("interval_s", 0), ("access_points", [])]
)
def test_a_schedule_of_no_time_or_place_is_none(captured, key, value):
    path = captured.path / "schedule.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), key: value}))
    with pytest.raises(ConfigurationError, match=f"is no schedule.*{key}"):
        analyze_run(captured)


def test_a_simulated_run_says_where_its_traffic_is(captured):
    captured.write_json("manifest", {**captured.read_json("manifest"), "engine": "simulate"})
    with pytest.raises(CaptureError, match=r"was simulated.*backhaul\.parquet"):
        analyze_run(captured)


@pytest.mark.parametrize("content", [None, b"PAR1 no more", "handovers"])
def test_what_can_be_counted_without_a_damaged_table_is(captured, content):
    path = captured.path / "transfers.parquet"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        shutil.copy(captured.path / f"{content}.parquet", path)
    found = analyze_run(captured)
    assert found.packets == 7
    assert found.reconciliation is None
    assert [each for each in found.problems if "transfers.parquet" in each] == found.problems


def test_a_foreign_or_second_capture_among_a_runs_is_told(captured, tmp_path):
    backhaul = captured.pcap / "backhaul.pcapng"
    shutil.copy(backhaul, captured.pcap / "copy.pcapng")
    (captured.path / "transfers.parquet").unlink()  # made up, and explained by no capture
    problems = analyze_run(captured).problems
    assert any("holds packets at ap1, ap2, as does backhaul.pcapng" in each for each in problems)
    raw = backhaul_capture(tmp_path / "other.pcap")
    to_pcapng({raw: {5: "wlan0"}}, captured.pcap / "copy.pcapng")
    problem, _ = analyze_run(captured).problems
    assert "holds packets at wlan0, where the run has no server" in problem


def test_captures_that_explain_the_migrations_badly_are_told(captured):
    (problem,) = analyze_run(captured).problems
    assert problem.startswith("captures do not explain the migrations: 0 of ")
