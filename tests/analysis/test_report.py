"""Figures and report of a run folder, and the analysis of its captures."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from testbed.analysis.figures import CAPTIONS, draw_figures
from testbed.analysis.pcapng import to_pcapng
from testbed.analysis.report import write_report
from testbed.analysis.summary import summarise
from testbed.analysis.traffic import analyze_run
from testbed.errors import CaptureError
from testbed.records import collect, read_tables
from testbed.runfolder import RunFolder
from testbed.values import AccessPoint, Schedule
from tests.analysis.captures import ORIGIN_UNIX_S, backhaul_capture
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
