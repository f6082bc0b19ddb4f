"""Messages that fit the schema and cannot be true are refused."""

from __future__ import annotations

import math

import msgspec
import pytest

from testbed.dnn.graph import Layer
from testbed.errors import ProtocolError
from testbed.protocol.framing import parse_header
from testbed.protocol.messages import MAX_BODY_BYTES, LayerRef, Load
from tests.protocol.samples import MESSAGES, STATS, encoded


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [Layer("a", "ReLU", (0,), 0, 4)],
        [Layer("a", "ReLU", (-2,), 0, 4)],
        [Layer("a", "ReLU", (-1,), -5, 4)],
        [Layer("a", "ReLU", (-1,), 0, 4, (), (), (1,))],
    ],
    ids=["none", "reads itself", "reads nothing known", "negative weights", "weights of later"],
)
def test_an_impossible_dnn_profile_is_refused(layers: list[Layer]) -> None:
    good = msgspec.to_builtins(MESSAGES[1])
    good["graph"]["layers"] = msgspec.to_builtins(layers)
    good["graph"]["outputs"] = [max(0, len(layers) - 1)]
    with pytest.raises(ProtocolError):
        parse_header(encoded(good))


@pytest.mark.parametrize(
    "changes",
    [
        {"client_s": [0.1]},
        {"client_s": []},
        {"client_s": [0.1, 0.2, 0.3]},
        {"client_s": [0.1, math.nan]},
        {"client_s": [math.nan, 0.1]},
        {"client_s": [0.1, math.inf]},
        {"client_s": [1e308, 1e308]},
        {"client_s": [0.1, -0.1]},
        {"weights": []},
        {"weights": [LayerRef(0, "ab" * 32, 11)]},
        {"weights": [LayerRef(0, "ab" * 32, 10)] * 2},
        {"weights": [LayerRef(0, "ab" * 32, 10), LayerRef(1, "ab" * 32, 0)]},
        {"trajectory": [(0.0, 1.0, 2.0), (math.nan, 1.0, 2.0)]},
        {"trajectory": [(0.0, math.inf, 2.0)]},
    ],
    ids=str,
)
def test_a_registration_that_fits_no_model_or_no_place_is_refused(
    changes: dict[str, object],
) -> None:
    good = msgspec.to_builtins(MESSAGES[1])
    assert parse_header(encoded(good)) == MESSAGES[1]
    with pytest.raises(ProtocolError, match="does not fit the protocol"):
        parse_header(encoded(good | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_bytes": MAX_BODY_BYTES + 1},
        {"output_bytes": MAX_BODY_BYTES + 1},
        {"weight_bytes": 2**63},
        {"multiply_adds": -1},
    ],
    ids=str,
)
def test_a_registered_layer_has_a_size_that_can_be_sent(changes: dict[str, int]) -> None:
    good = msgspec.msgpack.decode(encoded(MESSAGES[1]))
    good["graph"]["layers"][0] |= changes
    size_bytes = good["graph"]["layers"][0]["weight_bytes"]
    good["weights"] = [{"layer": 0, "digest": "ab" * 32, "size_bytes": size_bytes}]
    with pytest.raises(ProtocolError, match="does not fit the protocol"):
        parse_header(encoded(good))


@pytest.mark.parametrize("field", ["time_s", "x_m", "y_m"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_report_from_nowhere_is_refused(field: str, value: float) -> None:
    good = {"type": "report", "time_s": 1.0, "x_m": 2.0, "y_m": 3.0}
    with pytest.raises(ProtocolError, match="nobody is at"):
        parse_header(encoded(good | {field: value}))


def load(**changes: object) -> bytes:
    return encoded({"type": "load", "stats": msgspec.to_builtins(STATS) | changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "rumour"},
        {"clients": -1},
        {"clients": 1.5},
        {"clients": None},
        {"kernel_utilisation": 1.001},
        {"kernel_utilisation": -0.001},
        {"memory_utilisation": float("inf")},
        {"memory_used_bytes": -1},
        {"temperature_c": float("-inf")},
        {"temperature_c": "warm"},
    ],
    ids=str,
)
def test_a_load_that_no_server_can_have_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="does not fit the protocol"):
        parse_header(load(**changes))


def test_loads_at_their_bounds_are_understood_and_some_may_be_unknown() -> None:
    for share in (0.0, 1.0):
        message = parse_header(load(clients=0, kernel_utilisation=share))
        assert isinstance(message, Load)
        assert message.stats.kernel_utilisation == share
    unknown = {"memory_utilisation": math.nan, "temperature_c": math.nan, "memory_used_bytes": 0}
    message = parse_header(load(**unknown))
    assert isinstance(message, Load)
    assert math.isnan(message.stats.temperature_c) and math.isnan(message.stats.memory_utilisation)
