"""Small files in every format, written by hand: two people walk east at 1 m/s for two minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from traces.window import GEOLIFE_WINDOW

STEPS_S = tuple(range(0, 150, 30))
LAT_DEG, LON_DEG = 36.37, 127.36
METRE_DEG = 1 / 89_800  # of longitude at this latitude, roughly
NOON = datetime(2009, 10, 17, 12, tzinfo=timezone.utc)
EPOCH = datetime(1899, 12, 30, tzinfo=timezone.utc)
HEADING = (
    "Geolife trajectory\r\nWGS 84\r\nAltitude is in Feet\r\nReserved 3\r\n"
    "0,2,255,My Track,0,0,2,8421376\r\n0\r\n"
)


def crawdad(folder: Path) -> None:
    for person, y in (("ann", 0), ("bob", 5)):
        write(folder / f"{person}.txt", (f"{t} {t} {y}\n" for t in STEPS_S))


def plt_line(time_s: float, lat_deg: float, lon_deg: float) -> str:
    when = NOON + timedelta(seconds=time_s)
    days = (when - EPOCH) / timedelta(days=1)
    return f"{lat_deg},{lon_deg},0,492,{days:.10f},{when:%Y-%m-%d,%H:%M:%S}\r\n"


def geolife(folder: Path) -> None:
    for user, north in (("000", 0.0), ("001", 0.0001)):
        lines = (plt_line(t, LAT_DEG + north, LON_DEG + t * METRE_DEG) for t in STEPS_S)
        write(folder / "Data" / user / "Trajectory" / "20091017120000.plt", (HEADING, *lines))
    write(folder / "Data" / "000" / "labels.txt", ("Start Time\tEnd Time\tMode\n",))


def geolife_like(folder: Path, people: int = 3) -> Path:
    """People who walk 1 m/s in the paper's rectangle, with a sample at each multiple of 3 s."""
    lat_deg, lon_deg = GEOLIFE_WINDOW.centre_deg
    for user in range(people):
        lines = (
            plt_line(t, lat_deg + user * 1e-4, lon_deg + t * METRE_DEG) for t in range(0, 361, 3)
        )
        write(folder / "Data" / f"{user:03d}" / "Trajectory" / "1.plt", (HEADING, *lines))
    return folder


def bonnmotion(folder: Path) -> None:
    write(folder / "walk.movements", ("0 0 0 120 120 0\n", "0 0 5 60 60 5 120 120 5\n"))


def ns2(folder: Path) -> None:
    lines = (
        "# nodes: 2\n",
        *(
            f"$node_({n}) set {axis}_ {v}\n"
            for n in (0, 1)
            for axis, v in zip("XYZ", (0, 5 * n, 0), strict=True)
        ),
        *(f'$ns_ at 0.0 "$node_({n}) setdest 120 {5 * n} 1.0"\n' for n in (0, 1)),
        "$god_ set-dist 0 1 1\n",
    )
    write(folder / "scenario.tcl", lines)


def sumo(folder: Path) -> None:
    steps = (
        f'<timestep time="{t}.00"><vehicle id="ann" x="{t}" y="0" speed="1"/>'
        f'<person id="bob" x="{t}" y="5"/></timestep>\n'
        for t in STEPS_S
    )
    write(folder / "fcd.xml", ("<fcd-export>\n", *steps, "</fcd-export>\n"))


def gpx(folder: Path) -> None:
    for person, north in (("ann", 0.0), ("bob", 0.0001)):
        points = (
            f'<trkpt lat="{LAT_DEG + north}" lon="{LON_DEG + t * METRE_DEG}">'
            f"<time>{iso(t)}</time></trkpt>\n"
            for t in STEPS_S
        )
        write(
            folder / f"{person}.gpx",
            (
                '<?xml version="1.0"?>\n<gpx xmlns="http://www.topografix.com/GPX/1/1">\n',
                "<trk><trkseg>\n",
                *points,
                "</trkseg></trk></gpx>\n",
            ),
        )


def csv(folder: Path) -> None:
    rows = (f"{person},{t},{t},{y}\n" for t in STEPS_S for person, y in (("ann", 0), ("bob", 5)))
    write(folder / "walks.csv", ("id,time,x,y\n", *rows))


def parquet_table(folder: Path) -> None:
    count = len(STEPS_S)
    table = {
        "user": ["ann"] * count + ["bob"] * count,
        "timestamp": [NOON + timedelta(seconds=t) for t in STEPS_S] * 2,
        "lat": [LAT_DEG] * count + [LAT_DEG + 0.0001] * count,
        "lon": [LON_DEG + t * METRE_DEG for t in STEPS_S] * 2,
    }
    parquet.write_table(pa.table(table), folder / "walks.parquet")


#: By the name of the format: what writes such files into a folder.
WRITERS: dict[str, Callable[[Path], None]] = {
    "crawdad": crawdad,
    "geolife": geolife,
    "bonnmotion": bonnmotion,
    "ns2": ns2,
    "sumo": sumo,
    "gpx": gpx,
    "csv": csv,
    "parquet": parquet_table,
}


def iso(time_s: float) -> str:
    return f"{NOON + timedelta(seconds=time_s):%Y-%m-%dT%H:%M:%SZ}"


def write(path: Path, parts: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(parts).encode())
    return path
