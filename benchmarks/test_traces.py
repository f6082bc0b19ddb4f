"""How long traces take to load: all of KAIST, and all of Geolife where its folder is told.

    GEOLIFE_DIR=.../Geolife .venv/bin/python -m pytest benchmarks/test_traces.py

KAIST's 92 files take at most 1 s on one core. Geolife's 18,670 files (1.65 GB) take at most 60 s on
two cores the first time, when they are parsed; after that they are read from the cache, for which
their content is compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from traces import cache
from traces.loading import load

KAIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "kaist"
GEOLIFE = os.environ.get("GEOLIFE_DIR")

MAX_KAIST_S = 1.0
MAX_GEOLIFE_S = 60.0


@pytest.mark.skipif(not KAIST.is_dir(), reason="the KAIST data are not at hand")
@pytest.mark.benchmark(group="loading KAIST")
def test_kaist(benchmark: BenchmarkFixture) -> None:
    recording = benchmark.pedantic(load, (KAIST,), rounds=5, iterations=1)
    assert recording.files == 92
    if benchmark.stats is not None:  # None with --benchmark-disable
        assert benchmark.stats.stats.max <= MAX_KAIST_S


@pytest.fixture
def two_cores() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(min(2, os.cpu_count() or 1)))
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache that is empty before the first of the tests that share it."""
    folder = tmp_path_factory.mktemp("repository") / "traces" / "data" / "cache"
    folder.parents[1].mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "FOLDER", folder)
        yield


@pytest.mark.skipif(GEOLIFE is None, reason="GEOLIFE_DIR is not set")
@pytest.mark.timeout(600)
@pytest.mark.benchmark(group="loading Geolife")
@pytest.mark.usefixtures("two_cores", "empty_cache")
@pytest.mark.parametrize("entries", [0, 1], ids=["parsed", "cached"])
def test_geolife(benchmark: BenchmarkFixture, entries: int) -> None:
    found = list(cache.FOLDER.iterdir()) if cache.FOLDER.exists() else []
    assert len(found) == entries
    recording = benchmark.pedantic(load, (Path(str(GEOLIFE)),), rounds=1)
    assert recording.format == "geolife"
    if benchmark.stats is not None:
        assert benchmark.stats.stats.max <= MAX_GEOLIFE_S
