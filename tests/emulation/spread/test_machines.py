"""Several machines: named, given access points, their clocks compared, and told things."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec
import pytest

from nodes.control import Position, Start
from testbed.emulation.spread import wire
from testbed.emulation.spread.machines import HERE, ClockOffset, Exchange, Machine, parse_all, place
from testbed.emulation.spread.relay import Relay
from testbed.emulation.spread.remote import SSH_VARIABLE, in_its_time, ssh_command
from testbed.emulation.spread.tunnels import tunnel_number
from testbed.errors import ConfigurationError

POINTS = [f"ap{number}" for number in range(12)]


def test_a_machine_is_named_as_for_ssh_with_the_folder_of_its_checkout() -> None:
    assert Machine.parse("ada@edge1:/opt/testbed") == Machine("ada@edge1", Path("/opt/testbed"))
    assert Machine.parse("edge1").folder == Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("text", ["", ":/opt", "-oProxyCommand=x", "two words", "edge1:relative"])
def test_what_is_no_machine_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="machine"):
        Machine.parse(text)


def test_a_machine_is_named_once() -> None:
    with pytest.raises(ConfigurationError, match="edge1"):
        parse_all(["edge1", "edge2", "edge1:/elsewhere"])


def test_neighbouring_access_points_go_to_different_machines() -> None:
    placed = place(POINTS, {"a": 4, "b": 4, "c": 4})
    assert [placed[point] for point in POINTS] == list("abc") * 4


def test_machines_have_shares_as_their_processors() -> None:
    machines = list(place(POINTS, {HERE: 2, "big": 4}).values())
    assert machines.count(HERE) == 4
    assert machines.count("big") == 8


def test_without_machines_everything_is_here() -> None:
    assert set(place(POINTS, {}).values()) == {HERE}


def test_the_quickest_exchange_tells_the_clocks_offset_and_bounds_its_error() -> None:
    ahead_s = 100.0
    exchanges = [
        Exchange(asked_s, asked_s + ahead_s + there_s, asked_s + there_s + back_s)
        for asked_s, there_s, back_s in [(1.0, 0.004, 0.001), (2.0, 0.001, 0.002), (3.0, 0.1, 0.1)]
    ]
    offset = ClockOffset.of(exchanges)
    assert offset.uncertainty_s == pytest.approx(0.0015)
    assert abs(offset.offset_s - ahead_s) <= offset.uncertainty_s


def test_a_node_elsewhere_is_told_the_start_on_its_own_clock() -> None:
    line = msgspec.json.encode(Start(origin_s=10.0, tdf=2.0))
    assert msgspec.json.decode(in_its_time(line, -4.0), type=Start) == Start(6.0, 2.0)
    other = msgspec.json.encode(Position(1.0, 2.0, 3.0))
    assert in_its_time(other, -4.0) == other + b"\n"


def test_tunnels_of_a_run_have_numbers_of_24_bits() -> None:
    numbers = {tunnel_number(run, n) for run in (0, 2**24 - 1) for n in (0, 1, 1023)}
    assert len(numbers) == 6
    assert max(numbers) < 2**24
    with pytest.raises(ValueError, match="1024"):
        tunnel_number(0, 1024)


def test_ssh_is_called_as_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SSH_VARIABLE, "ssh -F 'my config'")
    monkeypatch.setenv("SUDO_USER", "ada")
    command = ssh_command(Machine("edge1", Path("/opt/a testbed")))
    assert command[:8] == ["sudo", "-u", "ada", "-H", "--", "ssh", "-F", "my config"]
    assert command[-2] == "edge1"
    # What runs there is read by a shell there
    assert command[-1].startswith("'/opt/a testbed/.venv/bin/python' -m ")


def test_messages_arrive_as_they_were_sent() -> None:
    sent = [
        wire.Call(7, wire.ReadClock()),
        wire.Said("ap1", b"{}\n"),
        wire.Call(8, wire.RouteClient("ap1", "10.1.0.1", None)),
    ]
    ours, theirs = os.pipe()
    writer = wire.Writer(os.fdopen(theirs, "wb"))
    for message in sent:
        writer.write(message)
    writer.close()
    with os.fdopen(ours, "rb") as stream:
        assert [wire.read(stream, wire.ToMachine) for _ in sent] == sent
        assert wire.read(stream, wire.ToMachine) is None


def test_channels_are_relayed_both_ways_and_their_end_is_told() -> None:
    said: list[tuple[str, bytes]] = []
    relay = Relay(lambda node, data: said.append((node, data)))
    node, channel = socket.socketpair()
    other, _kept = socket.socketpair()
    relay.add("ap1", channel)
    relay.add("ap2", other)
    relay.deliver("ap1", b"to it\n")
    relay.deliver("ap3", b"to nobody\n")
    assert node.recv(100) == b"to it\n"
    node.sendall(b"from it\n")

    def pulse() -> None:
        if said[-1] == ("ap1", b""):
            raise OSError("nobody hears it any more")
        node.close()

    relay.run(0.01, pulse)
    assert said == [("ap1", b"from it\n"), ("ap1", b"")]
    relay.close()
