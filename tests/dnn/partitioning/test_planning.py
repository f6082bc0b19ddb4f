from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any

import pytest

from testbed.dnn.partitioning.planning import plan_for_model, plan_from_graph_json
from testbed.errors import ConfigurationError

FIGURE_5: dict[str, Any] = {  # two layers: the first is cheap and shrinks its input
    "layers": [
        {"name": "A", "inputs": [], "client_s": 0.1, "server_s": 0.01,
         "weight_bytes": 1000, "output_bytes": 1_000_000},
        {"name": "B", "inputs": ["A"], "client_s": 1.0, "server_s": 0.1,
         "weight_bytes": 4000, "output_bytes": 1000},
    ],
    "input_bytes": 10_000_000,
}  # fmt: skip


def test_figure_5s_example() -> None:
    found = plan_from_graph_json(FIGURE_5, down_bps=50e6, up_bps=40e6)
    assert json.loads(json.dumps(found)) == found
    assert found["location"] == {"A": "client", "B": "server"}
    assert found["latency_s"] == pytest.approx(0.1 + 0.2 + 0.1 + 8000 / 50e6)
    assert found["local_latency_s"] == pytest.approx(1.1)
    assert found["upload"] == [["B"]]
    assert found["upload_bytes"] == 4000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"client_s": -1.0}, r"layer 'B'.*client_s"),
        ({"client_s": float("nan")}, r"layer 'B'.*client_s"),
        ({"weight_bytes": "many"}, r"layer 'B'.*weight_bytes"),
        ({"inputs": ["C"]}, "layer 'B' reads 'C'"),
        ({"inputs": [1]}, "layer 'B' reads 1"),
        ({"name": "A"}, "two layers are called 'A'"),
        ({"server_s": None}, r"layer 'B'.*server_s"),
        ({"client_s": 1.7e308}, r"layer 'B'.*client_s"),
        ({"weight_bytes": 2**63}, r"layer 'B'.*weight_bytes"),
    ],
)
def test_a_malformed_layer_is_named(change: dict[str, Any], message: str) -> None:
    content = copy.deepcopy(FIGURE_5)
    content["layers"][1].update(change)
    with pytest.raises(ConfigurationError, match=message):
        plan_from_graph_json(content, 50e6, 35e6)


def test_too_many_layers_are_refused() -> None:
    content = copy.deepcopy(FIGURE_5)
    content["layers"] = [content["layers"][0]] * 5000
    with pytest.raises(ConfigurationError, match="more than 4000 layers"):
        plan_from_graph_json(content, 50e6, 35e6)


@pytest.mark.parametrize(
    "content", [[], {}, {"layers": [], "input_bytes": 1}, {"layers": [3], "input_bytes": 1}]
)
def test_a_file_that_is_no_graph_is_refused(content: Any) -> None:
    with pytest.raises(ConfigurationError, match="layer graph"):
        plan_from_graph_json(content, 50e6, 35e6)


def test_a_plan_for_a_model() -> None:
    found = plan_for_model("mobilenet", "odroid-xu4", "titan-xp", down_bps=50e6, up_bps=35e6)
    # 602,112 bytes there, 4,000 back, and the server's estimated time
    transfer_s = 8 * (602_112 / 35e6 + 4000 / 50e6)
    assert transfer_s + 2e-3 < found["latency_s"] < transfer_s + 6e-3
    assert set(found["location"].values()) == {"server"}
    assert sum(map(len, found["upload"])) == 111
    assert found["estimated"] == {"client": 0, "server": 111}  # none was published for it


def test_planning_does_not_load_torch() -> None:
    code = "import sys, testbed.dnn.partitioning.planning; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
