"""What GPU-aware planning is worth: queries answered, by what the master estimates times with.

    python experiments/gpu_aware_planning.py
    python experiments/gpu_aware_planning.py --models mobilenet --clients 16 --slower 1,100

Fig. 4 shows how far estimators err (section III.C.1). Here their estimates are used: clients raise
queries at edge servers that they share, the real coordinator chooses server and plan for each when
it comes and every 30 s, and the modelled accelerators, whose parameters are assumptions
(testbed/gpu/sharing.py), say how long it takes. The master plans with what servers take when
`idle`, with one of `server.estimator` (ll, ll_load, forest, slowdown), or with the `truth`: the
slowdown of the past second, one's own queries left out. The truth is no upper bound: each client is
planned for alone, and loads change.

All clients see one server, or several, and then all are nearest to the first of them or each to
another in turn; among servers of equal times the nearest is chosen. Servers are so many times
slower than the device profile, and the master knows it. Layers are at all servers already, so
moving costs nothing. Everything is in virtual time; the same question on real sockets:

    sudo python experiments/kaist_inception.py --set wireless.association=least_time \\
        --set server.estimator=forest
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import numpy as np
import pandas as pd

from testbed.analysis.figures.planning_figure import draw_planning
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.models.published import published_graph
from testbed.errors import ConfigurationError, unknown_name
from testbed.settings.experiment import Experiment
from testbed.settings.options import Parser
from testbed.studies import paper
from testbed.studies.calculation import Calculation, main
from testbed.studies.findings import Column, Findings, Row, Table, plain, say
from testbed.studies.planning_under_load import (
    PLANNED_WITH,
    Crowd,
    estimates,
    plan_changes,
    serve,
    slowed,
)
from testbed.studies.study import models_of, numbers

NOTHING = 0.01  # of the queries: less of a change is none
CASE = ["visible", "slower", "model", "clients"]
MOST_CLIENTS, MOST_SERVERS = 200, 50


def options(command_line: Parser) -> None:
    """Add what is varied."""
    add = command_line.add_argument
    add("--models", default=",".join(paper.MODELS), metavar="M,M,..", help="(default: %(default)s)")
    text = "numbers of clients (default: %(default)s)"
    add("--clients", default="4,16", metavar="N,N,..", help=text)
    text = "servers that clients see where they see several (default: %(default)s)"
    add("--servers", default="4", metavar="N", help=text)
    text = "how many times slower servers are than their profile (default: %(default)s)"
    add("--slower", default="1,10,100", metavar="F,F,..", help=text)
    text = "what the master plans with, besides idle (default: %(default)s)"
    add("--estimators", default=",".join(PLANNED_WITH[1:]), metavar="E,E,..", help=text)
    text = "of 30 s, which are counted after the one in which clients come (default: %(default)s)"
    add("--intervals", default="4", metavar="N", help=text)


def calculate(calculation: Calculation) -> Findings:
    """Let each crowd be served with each of the estimators."""
    given, settings = calculation.given, calculation.settings
    models = models_of(given)
    slower = list(dict.fromkeys(numbers("--slower", given.slower)))
    clients = counts("--clients", given.clients, MOST_CLIENTS)
    (intervals,) = counts("--intervals", given.intervals, 1000, one=True)
    (servers,) = counts("--servers", given.servers, MOST_SERVERS, one=True)
    names = estimator_names(given.estimators)
    folder, rows = calculation.folder, list[Row]()
    for factor in slower:
        say(f"servers {factor:g} times slower: learn, and serve")
        device = slowed(device_profile(settings.model.server_device), factor)
        planned_with = estimates(device, names)
        for model, number, (visible, sees) in product(models, clients, visibles(servers).items()):
            graph = published_graph(model)
            crowd = Crowd(
                graph,
                client_s=device_profile(settings.model.client_device).layer_times(graph),
                server_s=device.layer_times(graph),
                rates_bps=rates_bps(settings),
                gap_s=settings.model.query_gap_s,
                clients=number,
                intervals=intervals,
                **sees,
            )
            case = dict(zip(CASE, (visible, factor, model, number), strict=True))
            for name, estimate in planned_with.items():
                served = serve(crowd, estimate, settings.seed)
                rows.append(case | {"planned_with": name} | served._asdict())
    found = with_gains(rows)
    changes = [changed_at(settings, model) for model in models]
    figure = draw_planning(folder.figures, panels(found), figure_title(found), settings.name)
    return Findings(
        found.to_dict("records"), shown(found, changes), [figure], more={"plans": changes}
    )


def visibles(servers: int) -> dict[str, Row]:
    """Return what clients see, by what it is called."""
    several = {
        f"{servers} servers, the same nearest": {"servers": servers, "same_nearest": True},
        f"{servers} servers, nearest in turn": {"servers": servers, "same_nearest": False},
    }
    return {"one server": {"servers": 1}} | (several if servers > 1 else {})


def rates_bps(settings: Experiment) -> tuple[float, float]:
    """Return the rates of a client's link, (up, down)."""
    return settings.wireless.up_bps, settings.wireless.down_bps


def counts(option: str, text: str, most: int, *, one: bool = False) -> list[int]:
    """Return the whole numbers of a list such as 1,16, of one number if `one`."""
    what = f"{'a whole number' if one else 'whole numbers'} from 1 to {most}"
    found = numbers(option, text, what)
    if any(each % 1 or each > most for each in found) or (one and len(found) > 1):
        raise ConfigurationError(f"{option} {text}: {what}")
    return [int(each) for each in dict.fromkeys(found)]


def estimator_names(text: str) -> tuple[str, ...]:
    """Return idle, and the estimators of a list."""
    names = ("idle", *text.split(","))
    for name in names:
        if name not in PLANNED_WITH:
            raise ConfigurationError(f"--estimators: {unknown_name('one', name, PLANNED_WITH)}")
    return tuple(dict.fromkeys(names))


def with_gains(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the rows with `gain`: queries by those of plans without load, less 1."""
    found = pd.DataFrame(rows)
    idle = found[found["planned_with"] == "idle"].set_index(CASE)["queries"]
    without = idle.reindex(pd.MultiIndex.from_frame(found[CASE])).to_numpy()
    return found.assign(gain=found["queries"] / np.where(without > 0, without, np.nan) - 1)


def changed_at(settings: Experiment, model: str) -> Row:
    """Return how many times slower a server must be for other plans."""
    graph = published_graph(model)
    devices = settings.model.client_device, settings.model.server_device
    client_s, server_s = (device_profile(name).layer_times(graph) for name in devices)
    changes = plan_changes(graph, client_s, server_s, rates_bps(settings))
    return {"model": model} | changes._asdict()


def panels(found: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the geometric mean over models of queries by those without load, most clients."""
    most = found[(found["clients"] == found["clients"].max()) & (found["planned_with"] != "idle")]
    names = list(dict.fromkeys(most["planned_with"]))
    return {
        str(visible): ratio(group, ["slower", "planned_with"]).unstack()[names]
        for visible, group in most.groupby("visible", sort=False)
    }


def ratio(found: pd.DataFrame, by: list[str]) -> pd.Series:
    """Return the geometric mean of queries by those without load."""
    return np.exp(np.log1p(found["gain"]).groupby([found[name] for name in by], sort=False).mean())


def figure_title(found: pd.DataFrame) -> str:
    """Say what the figure is of."""
    models = ", ".join(dict.fromkeys(found["model"]))
    return f"{found['clients'].max()} clients; geometric mean of {models}"


def shown(found: pd.DataFrame, changes: Sequence[Row]) -> Iterator[str | Table]:
    """Yield everything for people."""
    names = list(dict.fromkeys(found["planned_with"]))
    for visible, group in found.groupby("visible", sort=False):
        lines = [
            dict(zip(CASE[1:], case, strict=True)) | {row["planned_with"]: row for row in own}
            for case, own in (
                (case, rows.to_dict("records"))
                for case, rows in group.groupby(CASE[1:], sort=False)
            )
        ]
        columns = (
            *(plain("slower", form="g"), plain("model"), plain("clients", form="d")),
            *(Column(name, answered(name), right=True) for name in names),
        )
        yield Table(columns, lines, f"Queries answered, and seconds each, with {visible}")
    yield from concluded(found, changes)


def answered(name: str) -> Callable[[Row], object]:
    """Show queries, and the mean of their times."""
    return lambda row: f"{row[name]['queries']:,} {row[name]['mean_s']:6.2f}"


def where_it_matters(planned: pd.DataFrame) -> Table:
    """Return the geometric mean of queries by those without load, by what clients see."""
    names = list(dict.fromkeys(planned["planned_with"]))
    by_case = ratio(planned, ["visible", "clients", "planned_with"]).unstack()[names]
    lines = by_case.reset_index().to_dict("records")
    order = list(planned["visible"].unique())
    lines.sort(key=lambda line: (order.index(line["visible"]), line["clients"]))
    lines.append({"visible": "all", "clients": "all"} | dict(ratio(planned, ["planned_with"])))
    columns = (
        *(plain("servers", "visible"), plain("clients")),
        *(plain(name, form=".2f") for name in names),
    )
    title = "In the other cases, queries by those without load (geometric mean)"
    return Table(columns, lines, title)


def concluded(found: pd.DataFrame, changes: Sequence[Row]) -> Iterator[str | Table]:
    """Say where planning for load changes nothing, and where it matters."""
    for each in changes:
        yield (
            f"{each['model']}: the idle plan is best until a server is"
            f" {each['other_plan_at']:.0f} times slower than its profile, and loses 10 % from"
            f" {each['loses_at']:.0f} times on; from {each['all_local_at']:.0f} times on nothing is"
            " worth offloading"
        )
    planned = found[found["planned_with"] != "idle"]
    if planned.empty:
        return
    matters = planned.groupby(CASE, sort=False)["gain"].transform(
        lambda g: g.abs().max() >= NOTHING
    )
    cases = planned.assign(matters=matters).drop_duplicates(CASE)
    yield (
        f"Less than {NOTHING:.0%} of the queries change, whatever the master plans with, in"
        f" {int((~cases['matters']).sum())} of {len(cases)} cases;\nby how many times (x) slower"
        " servers are than their profile:"
    )
    for (visible, slower), group in cases.groupby(["visible", "slower"], sort=False):
        unchanged = int((~group["matters"]).sum())
        yield f"  {visible}, {slower:g}x: {unchanged} of {len(group)}"
    if not matters.any():
        return
    yield where_it_matters(planned[matters])
    for what, row in (("Most", planned["gain"].idxmax()), ("Least", planned["gain"].idxmin())):
        case = planned.loc[row]
        yield (
            f"{what}: {case['gain']:+.0%} with {case['planned_with']} ({case['model']},"
            f" {case['clients']} clients, {case['visible']}, {case['slower']:g}x)"
        )


if __name__ == "__main__":
    reads = (
        *("wireless.up_bps", "wireless.down_bps", "model.client_device", "model.server_device"),
        *("model.query_gap_s", "seed"),
    )
    main("gpu_aware_planning", calculate, reads=reads, options=options)
