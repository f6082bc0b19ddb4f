"""What is said of commands that fail, and of queueing disciplines that cannot be set."""

from __future__ import annotations

import pytest

from testbed.emulation.network.qdiscs import refusal_of, set_qdiscs, try_qdisc
from testbed.errors import EmulationError


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["true"], None),
        (["false"], "false ended with status 1"),
        (["ls", "/no/such/file"], "/no/such/file"),
        (["no-such-program"], "no-such-program"),
    ],
)
def test_a_failing_command_says_why(command: list[str], said: str | None) -> None:
    failure = refusal_of(command)
    assert failure is None if said is None else said in str(failure)


@pytest.mark.emulation
def test_an_unknown_queueing_discipline_and_interface_are_refused_with_tcs_words() -> None:
    assert try_qdisc("pfifo") is None
    assert "unknown" in str(try_qdisc("no_such_kind"))
    with pytest.raises(EmulationError, match=r"tc cannot shape gone0: .*gone0"):
        set_qdiscs(["qdisc replace dev gone0 root pfifo"], ["gone0"])
