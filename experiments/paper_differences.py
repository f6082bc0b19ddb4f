"""Why Fig. 9 and Fig. 10 come out here as they do: what differs from the paper, measured.

    python experiments/paper_differences.py
    python experiments/paper_differences.py --traces Data      # Geolife's, where they are

The runs are those of `fig9_hit_ratio.py` and `fig10_fractional.py`, taken apart:

- Hits, by what had arrived at the next server, and by whom the policy had chosen, as if whole
  models always arrived.
- Queries after a change of server with nothing and with everything there, beside what Table II
  makes of them; and by that how many changes of server the paper's optimizable queries imply,
  beside all changes here and those that do not lead back to where the client just was.
- Peak uplinks: when they are, of how many clients, and what they are once the start is over, when
  everyone's layers are sent for the first time.
- Fractions at crowded servers: where those are chosen by their own peaks, where by what they sent
  at the time of the highest peak of all, and where what they send is limited, but not what they
  receive.

Means over splits of the people.
"""

import math
from collections.abc import Iterator, Sequence

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd

from testbed.analysis.traffic.crowding import busiest_interval, most_crowded
from testbed.errors import ConfigurationError
from testbed.settings.experiment import Experiment, changed
from testbed.simulation.log import Moved
from testbed.simulation.offloading import Offloading
from testbed.studies import paper
from testbed.studies.difference_tables import BACK_INTERVALS, RADII_M, shown
from testbed.studies.findings import Findings, Row, means
from testbed.studies.study import Context, Study, main
from testbed.studies.whole_traces import (
    Contender,
    Totals,
    Walkers,
    each_split,
    for_model,
    peaks_mbps,
    share,
    simulate,
)
from testbed.studies.yardsticks import SendersLimited

START_INTERVALS = 10  # of a client; after them its layers have been sent for the first time
CROWD = ("mbps", "interval", "clients", "servers")
WIDE = Contender("", "perdnn", 100.0)


def measure(context: Context) -> Iterator[Row]:
    """Yield the figures of each split and model."""
    for number, model, who in each_split(context):
        settings, offloading = for_model(context.settings, model)
        row: Row = {"split": number, "model": model}
        nothing = simulate(Contender("", "ionn").applied(settings), offloading, who)
        everything = simulate(Contender("", "optimal").applied(settings), offloading, who)
        if not nothing.handovers:
            raise ConfigurationError("nobody changes servers: there is nothing to compare")
        row |= changes(nothing, everything)
        for radius_m in RADII_M:
            found = simulate(Contender("", "perdnn", radius_m).applied(settings), offloading, who)
            row[f"hits_{radius_m:g}"] = found.hit_ratio
            row[f"chosen_{radius_m:g}"] = found.chosen_ratio
            row[f"gain_{radius_m:g}"] = found.queries_after / nothing.queries_after
        if not found.migrated_bytes:
            raise ConfigurationError("nothing is migrated: there is nothing to compare")
        interval_s = settings.traces.step_s
        row |= crowd(found, who, interval_s, 0, "first")
        row |= crowd(found, who, interval_s, START_INTERVALS, "later")
        if model in paper.FIG10:
            row |= fractions(WIDE.applied(settings), offloading, who, found)
        yield row


def changes(nothing: Totals, everything: Totals) -> Row:
    """Return how many changes of server there are, and the queries after each on average."""
    row: Row = {
        "changes": nothing.handovers,
        "queries_nothing": nothing.queries_after / nothing.handovers,
        "queries_everything": everything.queries_after / everything.handovers,
        "optimizable": everything.queries_after - nothing.queries_after,
    }
    for intervals in BACK_INTERVALS:
        back = [led for moves in nothing.moves for led in leads_back(moves, intervals)]
        row[f"back_{intervals}"] = share(back)
    return row


def leads_back(moves: Sequence[Moved], intervals: int) -> list[bool]:
    """Return of each change of a client's whether it had left that server so little before."""
    left: dict[int, int] = {}  # server -> the step at which it was left
    found = []
    for moved in moves:
        found.append(moved.step - left.get(moved.destination, -intervals - 1) <= intervals)
        left[moved.source] = moved.step
    return found


def crowd(totals: Totals, who: Walkers, interval_s: float, since: int, when: str) -> Row:
    """Return the highest uplink: how much, and of how many clients.

    What is sent in the first `since` intervals of each client does not count.
    """
    sent = pd.DataFrame(
        [
            (step, source, client, count)
            for client, log in enumerate(totals.logs)
            for step, source, _, count in log.sent
            if step - who.clients[client].enters >= since
        ],
        columns=["interval", "server", "client", "bytes"],
    )
    if sent.empty:
        return dict.fromkeys((f"{when}_{what}" for what in CROWD), math.nan)
    highest = sent.groupby(["interval", "server"])["bytes"].sum().idxmax()
    there = sent[(sent["interval"] == highest[0]) & (sent["server"] == highest[1])]
    mbps, clients = 8 * there["bytes"].sum() / interval_s / 1e6, there["client"].nunique()
    found = mbps, highest[0], clients, len(there) / clients
    return {f"{when}_{what}": float(figure) for what, figure in zip(CROWD, found, strict=True)}


def fractions(settings: Experiment, offloading: Offloading, who: Walkers, full: Totals) -> Row:
    """Return what the paper's fraction saves and costs, by who is limited."""
    fraction_mb = paper.FIG10[settings.model.name].migrated_mib * 2**20 / 1e6
    busiest = busiest_interval(full.backhaul)
    assert busiest is not None
    own, then = (most_crowded(full.backhaul, full.servers, of) for of in (None, busiest[0]))
    row: Row = {}
    for limit, crowded, policy in (
        ("own", own, "perdnn"),
        ("then", then, "perdnn"),
        ("sent", own, f"{SendersLimited.__module__}:SendersLimited"),
    ):
        changes = {"policy": policy, "fraction_mb": fraction_mb, "crowded": tuple(crowded)}
        limited = {f"migration.{name}": value for name, value in changes.items()}
        totals = simulate(changed(settings, limited), offloading, who)
        row[f"{limit}_servers"] = len(crowded)
        row[f"{limit}_mbps"] = peaks_mbps(totals, who.people)[0]
        row[f"{limit}_lost"] = 1 - totals.queries_after / full.queries_after
    return row


def conclude(context: Context, splits: pd.DataFrame) -> Findings:
    """Return means and standard deviations by model."""
    names = [name for name in splits if name not in ("split", "model")]
    rows = [
        {"dataset": context.movements.name, "model": model, "splits": len(figures)}
        | means(figures, names)
        for model, figures in splits.groupby("model", sort=False)
    ]
    return Findings(rows, shown(rows, context.movements))


STUDY = Study(Experiment(name="paper_differences"), measure, conclude, models=paper.MODELS)

if __name__ == "__main__":
    main(STUDY)
