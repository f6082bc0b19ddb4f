"""Whole runs in virtual time: what must hold whatever the traces."""

from __future__ import annotations

from functools import cache

import pandas as pd
import pytest
from msgspec.structs import replace

from testbed.decision.policies import build_policy, predictor_name
from testbed.mobility import visits
from testbed.movement import People, load_people
from testbed.runs.tables import TABLES
from testbed.settings.experiment import Experiment, Migration, Model, Simulation, Traces
from testbed.simulation.fluid.backhaul import Limited
from testbed.simulation.fluid.carrier import Carrier, Unlimited
from testbed.simulation.foresight import ClientPath, Foresight, clients_of
from testbed.simulation.log import Log
from testbed.simulation.offloading import Offloading, offloading_of
from testbed.simulation.rows import backhaul_of, tables_of
from testbed.simulation.simulated_run import SimulatedRun as Run
from testbed.simulation.simulated_run import foresight_of, goodput
from traces.schedule import whole_schedule

SETTINGS = Experiment(
    name="test",
    traces=Traces(format="synthetic", interval_s=30.0, test_people=4),
    model=Model(name="mobilenet"),
    migration=Migration(policy="perdnn", radius_m=100.0),
    simulation=Simulation(sharing="separate", backhaul="unlimited", headers=False),
)


@cache
def people() -> People:
    return load_people(SETTINGS)


@cache
def clients() -> tuple[list[ClientPath], float]:
    _, testing = people().split(SETTINGS)
    schedule = whole_schedule(testing, people().access_points)
    return clients_of(schedule), schedule.duration_s


@cache
def offloading(model: str = "mobilenet") -> Offloading:
    return offloading_of(replace(SETTINGS, model=Model(name=model)))


_FORESIGHT: dict[tuple[str, float], Foresight] = {}


def foresight(settings: Experiment) -> Foresight:
    """Return what a predictor that has learnt a little expects, for all runs with its reach."""
    key = predictor_name(settings.migration), build_policy(settings).reach_m
    if key not in _FORESIGHT:
        training, _ = people().split(SETTINGS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(visits, "_EPOCHS", 1)
            _FORESIGHT[key] = foresight_of(
                settings, people().access_points, clients()[0], training.positions_m
            )
    return _FORESIGHT[key]


def made(
    policy: str = "perdnn",
    radius_m: float = 100.0,
    *,
    carrier: Carrier | None = None,
    details: bool = False,
    model: str = "mobilenet",
) -> tuple[Run, list[Log]]:
    walkers, duration_s = clients()
    settings = replace(SETTINGS, migration=Migration(policy=policy, radius_m=radius_m))
    run = Run(
        settings,
        offloading(model),
        people().access_points,
        walkers,
        [],
        carrier or Unlimited(),
        duration_s=duration_s,
        details=details,
        foresight=foresight(settings),
    )
    return run, run.run()


def hits(logs: list[Log]) -> int:
    return sum(moved.hit for log in logs for moved in log.handovers if moved.source >= 0)


def after_changes(logs: list[Log]) -> int:
    return sum(moved.queries for log in logs for moved in log.handovers if moved.source >= 0)


def test_nothing_is_better_than_everything_everywhere_nor_worse_than_nothing() -> None:
    found = {
        (policy, radius_m): made(policy, radius_m)[1]
        for policy, radius_m in (("ionn", 50), ("perdnn", 50), ("perdnn", 100), ("optimal", 50))
    }
    assert [hits(logs) for logs in found.values()] == sorted(hits(logs) for logs in found.values())
    counts = [after_changes(logs) for logs in found.values()]
    assert counts == sorted(counts)
    assert hits(found["ionn", 50]) == 0
    moved = [each for log in found["optimal", 50] for each in log.handovers]
    assert all(each.hit for each in moved)


def test_details_change_nothing_and_equal_settings_give_equal_runs() -> None:
    plain, again, detailed = made(), made(), made(details=True)
    for log, same, full in zip(plain[1], again[1], detailed[1], strict=True):
        assert log == same
        assert log.handovers == full.handovers
        assert log.sent == full.sent
        assert (log.queries, log.cold_start_queries) == (full.queries, full.cold_start_queries)


@pytest.mark.parametrize("policy", ["download", "handoff"])
def test_what_comes_from_the_cloud_is_in_the_backhaul_too(policy: str) -> None:
    run, logs = made(policy, details=True)
    table = backhaul_of(run.world, logs, goodput=1.0)
    by_server = table[table["direction"] == "uplink"].groupby("server")["bytes"].sum()
    sent = sum(count for log in logs for *_, count in log.sent)
    assert by_server.sum() == pytest.approx(sent, rel=1e-6)
    assert by_server.sum() == table.loc[table["direction"] == "downlink", "bytes"].sum()
    assert by_server["cloud"] > 0
    assert (len(by_server) > 1) == (policy == "handoff")


def test_what_is_sent_is_received_and_no_server_has_more_than_a_model() -> None:
    run, logs = made(details=True)
    size_bytes = run.world.stream.size_bytes
    table = backhaul_of(run.world, logs, goodput=1.0).groupby("direction")["bytes"].sum()
    sent = sum(count for log in logs for *_, count in log.sent)
    assert table["uplink"] == pytest.approx(sent, rel=1e-6)
    assert table["downlink"] == table["uplink"]
    for log in logs:
        for order in log.orders:
            assert order.have_bytes + order.sent_bytes <= size_bytes
            assert order.sent_bytes == 0 or order.have_bytes + order.sent_bytes <= order.want_bytes


@pytest.mark.parametrize("policy", ["ionn", "perdnn", "benefit", "routing"])
def test_what_is_received_is_stored_or_has_expired(policy: str) -> None:
    """Client by client: bytes uploaded and migrated are still there or were discarded."""
    _, logs = made(policy, details=True)
    for log in logs:
        uploaded = sum(each.to_bytes - each.from_bytes for each in log.uploads)
        migrated = sum(count for *_, count in log.sent)
        assert uploaded + migrated == pytest.approx(log.stored_bytes + log.expired_bytes)
        assert log.stored_bytes > 0
        assert (migrated > 0) == (policy in {"perdnn", "benefit"})
        assert (log.expired_bytes > 0) == (policy != "routing")


@pytest.mark.parametrize(
    "policy", ["pull", "routing", "follow_me", "popular", "cloud", "benefit", "visits"]
)
def test_all_policies_lie_between_nothing_and_everything(policy: str) -> None:
    """The cloud has everything and is far away; when a query comes at a step is chance."""
    least, most = (after_changes(made(bound)[1]) for bound in ("ionn", "optimal"))
    found = after_changes(made(policy)[1])
    assert (found < least) == (policy == "cloud")
    assert found <= 1.002 * most


def test_wide_links_are_as_good_as_none_and_narrow_ones_are_worse() -> None:
    """Even a wide link takes its time, so what becomes whole in a step's last moment is late."""
    count = len(people().access_points)

    def star(rate_bytes_s: float) -> Limited:
        return Limited(lambda here, there: (here, count + there), [rate_bytes_s] * (2 * count))

    without, wide, narrow = (made(carrier=each)[1] for each in (Unlimited(), star(1e15), star(1e5)))
    assert hits(wide) == hits(without)
    assert [log.queries for log in wide] == [log.queries for log in without]
    assert hits(narrow) < hits(without)


def test_tables_have_every_column_and_count_what_was_done() -> None:
    run, logs = made(details=True)
    walkers, duration_s = clients()
    tables = tables_of(run.world, walkers, logs, goodput(SETTINGS))
    assert tables.keys() == TABLES.keys()
    for name, columns in TABLES.items():
        assert list(tables[name].columns) == [column.name for column in columns]
        pd.DataFrame(tables[name]).astype({column.name: column.dtype for column in columns})
    queries = tables["queries"]
    assert len(queries) == sum(log.queries for log in logs)
    assert queries["cold_start"].sum() == sum(log.cold_start_queries for log in logs)
    assert queries["answered_s"].max() <= duration_s
    for _, own in queries.groupby("client"):
        in_order = own.sort_values("query")
        assert (in_order["raised_s"].to_numpy()[1:] >= in_order["answered_s"].to_numpy()[:-1]).all()
    handovers = tables["handovers"]
    assert handovers["from_ap"].notna().sum() == len(handovers) - len(walkers)
    assert len(tables["predictions"]) > 0


def test_an_interrupted_run_keeps_what_was_done() -> None:
    training, _ = people().split(SETTINGS)
    walkers, duration_s = clients()
    run = Run(SETTINGS, offloading(), people().access_points, walkers, training.positions_m,
              Unlimited(), duration_s=duration_s, details=True)  # fmt: skip

    logs = run.run(lambda time_s: time_s < 3000.0)
    assert run.ended_s == 3000.0
    tables = tables_of(run.world, walkers, logs, 1.0)
    assert tables["queries"]["answered_s"].max() <= 3000.0
    assert len(tables["queries"]) > 0
    assert tables["transfers"]["ended_s"].max() <= 3000.0


def test_the_rate_of_a_short_last_interval_is_over_its_own_length() -> None:
    training, _ = people().split(SETTINGS)
    walkers, _ = clients()
    run = Run(SETTINGS, offloading(), people().access_points, walkers, training.positions_m,
              Unlimited(), duration_s=310.0, details=False)  # fmt: skip
    table = backhaul_of(run.world, run.run(), 1.0)
    length_s = table["interval"].map(lambda step: 10.0 if step == 10 else 30.0)
    assert (table["interval"] == 10).any()
    assert table["mbps"].to_numpy() == pytest.approx(8e-6 * table["bytes"] / length_s, rel=1e-6)
