"""Processes that wait and share accelerators, in virtual time."""

from __future__ import annotations

import pytest

from testbed.gpu.accelerator import Work
from testbed.gpu.sharing import DEFAULTS
from testbed.gpu.virtual_servers import Execution, Process, VirtualServers


def test_works_at_one_server_share_it_and_others_do_not() -> None:
    servers = VirtualServers(("a", "b"))
    ended_s: dict[str, float] = {}

    def ask(client: str, server: str) -> Process:
        yield 1.0
        ended_s[client] = yield Execution(server, client, Work.of(0.1))

    for client, server in (("x", "a"), ("y", "a"), ("z", "b")):
        servers.start(ask(client, server))
    servers.run(10.0)
    together_s = 1.0 + 0.1 * DEFAULTS.slowdown(2)
    assert ended_s == pytest.approx({"x": together_s, "y": together_s, "z": 1.1})


def test_a_process_goes_on_where_it_stopped() -> None:
    servers = VirtualServers(("a",))
    times_s: list[float] = []

    def alternate() -> Process:
        while True:
            times_s.append((yield 0.25))
            times_s.append((yield Execution("a", "x", Work.of(0.5))))

    servers.start(alternate())
    servers.run(0.8)
    assert times_s == pytest.approx([0.25, 0.75])
    servers.run(1.5)
    assert times_s == pytest.approx([0.25, 0.75, 1.0, 1.5])


def test_load_and_who_works_are_those_of_the_instant() -> None:
    servers = VirtualServers(("a", "b"))
    seen: list[tuple[float, int, set[str]]] = []

    def work() -> Process:
        yield Execution("a", "x", Work.of(1.0))

    def look() -> Process:
        now_s = 0.0
        for wait_s in (0.5, 1.0, 2.0):
            now_s = yield wait_s
            seen.append((now_s, servers.load("a").clients, servers.working("a")))
            assert servers.load("b").clients == 0
            assert not servers.working("b")

    servers.start(work())
    servers.start(look())
    servers.run(9.0)
    assert seen == [(0.5, 1, {"x"}), (1.5, 1, set()), (3.5, 0, set())]


def test_processes_go_on_in_the_order_in_which_they_began_to_wait() -> None:
    servers = VirtualServers(("a",))
    order: list[str] = []

    def wait(name: str) -> Process:
        yield 1.0
        order.append(name)

    for name in "cab":
        servers.start(wait(name))
    servers.run(1.0)
    assert order == list("cab")
