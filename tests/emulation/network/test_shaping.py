"""Which tc commands put a rate on an interface."""

from __future__ import annotations

import re

import pytest

from testbed.emulation.network.shaping import Shape, backhaul_shape, tc_commands, wireless_shape
from testbed.protocol.messages import PORTS
from testbed.settings.experiment import Backhaul, Wireless
from testbed.settings.units import TCP_GOODPUT_SHARE

UP = Shape(35e6, 65_536, fair_to_queries=True)
BACKHAUL = Shape(1e9, 1_000_000, gso=True)
YIELDING = Shape(1e9, 1_000_000, migrations_yield=True, gso=True)


def numbers(lines: list[str], pattern: str) -> list[int]:
    return [int(found) for line in lines for found in re.findall(pattern, line)]


def test_every_command_is_for_the_interface_and_may_be_repeated() -> None:
    for shape in (UP, BACKHAUL):
        for line in tc_commands("c1-wlan0", shape):
            assert re.match(r"(qdisc|class|filter) replace dev c1-wlan0 parent|qdisc", line)
            assert " dev c1-wlan0 " in line
            assert "\n" not in line


def test_the_link_has_one_class_that_cannot_exceed_the_rate() -> None:
    lines = tc_commands("eth0", UP)
    (root,) = [line for line in lines if "classid 1:1 " in line]
    assert "rate 35000000bit ceil 35000000bit" in root
    assert numbers(lines, r"ceil (\d+)bit") == [35_000_000] * 3


def test_uploads_and_the_rest_share_a_wireless_link_equally() -> None:
    lines = tc_commands("eth0", UP)
    shares = numbers([line for line in lines if "parent 1:1 " in line], r"htb rate (\d+)bit")
    assert shares == [17_500_000, 17_500_000]
    (rule,) = [line for line in lines if line.startswith("filter")]
    assert f"match ip dport {PORTS['upload']} 0xffff flowid 1:20" in rule
    assert "htb default 10" in lines[0]


def test_a_backhaul_link_has_one_queue_and_no_filter() -> None:
    lines = tc_commands("eth0", BACKHAUL)
    assert not any(line.startswith("filter") for line in lines)
    assert numbers([line for line in lines if "parent 1:1 " in line], r"htb rate (\d+)") == [10**9]


def test_migrations_take_what_all_else_leaves_where_they_yield() -> None:
    lines = tc_commands("eth0", YIELDING)
    first, second = (line for line in lines if "parent 1:1 " in line)
    assert "classid 1:10 htb rate 990000000bit ceil 1000000000bit" in first
    assert "classid 1:20 htb rate 10000000bit ceil 1000000000bit" in second
    assert first.endswith("prio 0")
    assert second.endswith("prio 1")
    (rule,) = [line for line in lines if line.startswith("filter")]
    assert f"match ip dport {PORTS['migration']} 0xffff flowid 1:20" in rule


@pytest.mark.parametrize(("shape", "queues"), [(UP, 2), (BACKHAUL, 1), (YIELDING, 2)])
def test_every_queue_has_the_stated_limit_in_bytes(shape: Shape, queues: int) -> None:
    limits = numbers(tc_commands("eth0", shape), r"bfifo limit (\d+)$")
    assert limits == [shape.queue_bytes] * queues


def test_a_burst_takes_a_whole_segment_where_frames_come_unsplit() -> None:
    assert min(numbers(tc_commands("eth0", BACKHAUL), r"burst (\d+)")) >= 65_536
    assert max(numbers(tc_commands("eth0", UP), r"burst (\d+)")) <= 20_000


def test_rates_are_whole_numbers_of_bits() -> None:
    lines = tc_commands("eth0", Shape(1e6 / 3, 65_536, fair_to_queries=True))
    assert numbers(lines, r"rate (\d+)bit") == [333_333, 166_666, 166_666]


def test_goodput_is_what_headers_leave_of_a_full_frame() -> None:
    assert pytest.approx(0.956, abs=0.001) == TCP_GOODPUT_SHARE


def test_a_delay_holds_packets_and_leaves_room_for_those_on_the_way() -> None:
    lines = tc_commands(
        "ap1-eth0", Shape(1e9, 1_000_000, gso=True, segment_frames=11, delay_s=0.005)
    )
    (queue,) = [line for line in lines if "netem" in line]
    assert "netem delay 5000us limit 98" in queue  # (625 kB on the way + 1 MB) / 11 frames
    assert not any("bfifo" in line for line in lines)


def test_a_links_shape_has_its_settings_in_wall_time():
    settings = Backhaul(queue_bytes=70_000, migration_class="lower")
    shape = backhaul_shape(settings, 1e9, delay_s=0.005, tdf=2.0)
    assert (shape.rate_bps, shape.queue_bytes, shape.delay_s) == (5e8, 70_000, 0.01)
    assert shape.migrations_yield and not shape.fair_to_queries
    assert not backhaul_shape(Backhaul(), 1e9, 0.0, 1.0).migrations_yield
    shape = wireless_shape(Wireless(queue_bytes=5000), 35e6, delay_s=0.001, tdf=10.0)
    assert (shape.rate_bps, shape.queue_bytes, shape.delay_s) == (3.5e6, 5000, 0.01)
    assert shape.fair_to_queries and not shape.migrations_yield
