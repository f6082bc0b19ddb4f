"""`testbed plan` partitions a model or a graph from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

DIAMOND = {
    "input_bytes": 1000,
    "layers": [
        {
            "name": name,
            "inputs": inputs,
            "client_s": 1.0,
            "server_s": 0.01,
            "weight_bytes": 1000,
            "output_bytes": 1000,
        }
        for name, inputs in (("a", []), ("b", ["a"]), ("c", ["a"]), ("d", ["b", "c"]))
    ],
}


def test_plan_of_a_graph_file(testbed: Any, tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(DIAMOND))
    arguments = ("plan", "--graph", str(file), "--down", "8kbit/s", "--up", "8kbit/s")
    plan = testbed(*arguments, "--json").json
    # 1,000 bytes there and back at 8 kbit/s take 2 s; the four layers 0.04 s at the server
    assert plan["latency_s"] == pytest.approx(2.04)
    assert plan["local_latency_s"] == pytest.approx(4.0)
    assert plan["location"] == dict.fromkeys("abcd", "server")
    assert plan["upload_bytes"] == 4000
    assert sorted(layer for run in plan["upload"] for layer in run) == list("abcd")
    assert "2,040.0 ms" in testbed(*arguments).out


def test_plan_of_a_model(testbed: Any) -> None:
    plan = testbed("plan", "--model", "mobilenet", "--json").json
    assert 0 < plan["latency_s"] < plan["local_latency_s"]
    assert plan["upload_bytes"] > 10e6


def test_plan_of_another_planner(testbed: Any, tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(DIAMOND))
    arguments = ("plan", "--graph", str(file), "--down", "8Mbit/s", "--up", "8Mbit/s", "--json")
    local = testbed(*arguments, "--planner", "all_client").json
    assert local["upload"] == []
    assert local["latency_s"] == local["local_latency_s"] == pytest.approx(4.0)
    cut = testbed(*arguments, "--planner", "static", "--static-cut", "b").json
    assert cut["location"] == {"a": "client", "b": "client", "c": "server", "d": "server"}
    # a's and b's outputs up, the answer down, a millisecond each
    assert cut["latency_s"] == pytest.approx(2.023)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "mobilenet", "--planner", "minimal_cut"], "did you mean 'minimum_cut'"),
        (["--model", "mobilenet", "--planner", "static"], "--static-cut: the planner static needs"),
        (["--model", "mobilenet", "--static-cut", "conv1"], "is for the planner static"),
        (
            ["--model", "mobilenet", "--planner", "static", "--static-cut", "conv_1"],
            "mobilenet has no layer 'conv_1'; did you mean",
        ),
        (["--model", "mobilnet"], "did you mean 'mobilenet'"),
        (["--model", "mobilenet", "--client", "phone"], "phone"),
        (["--model", "mobilenet", "--down", "fast"], "'fast' is not a rate"),
        (["--model", "mobilenet", "--down", "0"], "above 0"),
        (["--model", "mobilenet", "--input-shape", "1x3"], "mobilenet"),
        (["--model", "mobilenet", "--input-shape", "1xA"], "--input-shape 1xA"),
        (["--graph", "nowhere.json"], "nowhere.json"),
        (["--graph", __file__], "is no JSON"),
        (["--graph", "x.json", "--model", "mobilenet"], "not allowed with"),
        ([], "--model --graph is required"),
    ],
)
def test_plan_refuses(testbed: Any, arguments: list[str], said: str) -> None:
    ended = testbed("plan", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
