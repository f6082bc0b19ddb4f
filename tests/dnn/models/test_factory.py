from __future__ import annotations

from pathlib import Path

import pytest
import torch

from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import build_model
from testbed.dnn.models.published import MODELS, caffe_layer_count, published_graph
from testbed.dnn.partitioning.planning import plan_for_model
from testbed.errors import ModelError
from testbed.launch import check
from testbed.settings.experiment import Experiment, Model

SAMPLES = "tests.dnn.sample_models:"


@pytest.mark.parametrize("name", MODELS)
def test_the_captured_network_is_the_published_one(name: str) -> None:
    module, examples = build_model(name, seed=None)
    found, expected = capture(module, examples, name).graph, published_graph(name)
    fields = [
        "name",
        "kind",
        "inputs",
        "weight_bytes",
        "output_bytes",
        "multiply_adds",
        "hyperparameters",
    ]
    for layer, published in zip(found.layers, expected.layers, strict=True):
        for field in fields:
            assert getattr(layer, field) == getattr(published, field), (published.name, field)
    assert found.input_bytes == expected.input_bytes


def test_table_1_counts_and_sizes() -> None:
    found = {
        m: (caffe_layer_count(g), g.weight_bytes.sum()) for m in MODELS if (g := published_graph(m))
    }
    assert found["inception"] == (312, 134_566_552)
    assert found["resnet"] == (245, 102_441_076)
    assert found["mobilenet"] == (112, 17_015_564)  # Table I says 110: neither input nor softmax


@pytest.mark.parametrize("name", MODELS)
def test_answers_depend_on_query_and_seed(name: str) -> None:
    module, examples = build_model(name, seed=1)
    other, _ = build_model(name, seed=2)
    with torch.inference_mode():
        answer = module(*examples)
        assert torch.isfinite(answer).all()
        assert 1.5 / answer.numel() < answer.max() < 0.95
        assert (answer - module(examples[0].flip(-1))).abs().max() > 1e-4
        assert (answer - other(*examples)).abs().max() > 1e-4
    again, _ = build_model(name, seed=1)
    pairs = zip(module.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(left, right) for left, right in pairs)


def test_a_factory_may_leave_the_examples_to_the_input_shape() -> None:
    module, examples = build_model(SAMPLES + "chain_without_examples", input_shape=(1, 3, 16, 16))
    assert examples[0].shape == (1, 3, 16, 16)
    assert not module.training
    structure, _ = build_model(SAMPLES + "chain", seed=None)
    assert all(parameter.is_meta for parameter in structure.parameters())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("inceptoin", "did you mean 'inception'"),
        ("no.such.package:model", "cannot be imported"),
        (SAMPLES + "missing", "cannot be imported"),
        ("unparsed:model", "cannot be imported: SyntaxError"),
        (SAMPLES + "no_module", "must return an nn.Module"),
        (SAMPLES + "lazy", r"'0\.weight' has no shape yet"),
    ],
)
def test_a_model_that_cannot_be_built_says_why(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unparsed.py").write_text("(")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=message):
        build_model(name)


def test_a_model_that_cannot_be_copied_has_no_structure() -> None:
    with pytest.raises(ModelError, match="NotCopied cannot be copied: it holds a lock"):
        build_model(SAMPLES + "not_copied", seed=None)


@pytest.mark.parametrize(
    ("name", "message"),
    [("sliced_by_data", "takes a slice"), ("random_outside_torch", "at random")],
)
def test_plan_and_experiment_verify_a_users_model(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        plan_for_model(
            SAMPLES + name, "odroid-xu4", "titan-xp", down_bps=5e7, up_bps=3e7, input_shape=(1, 3)
        )
    with pytest.raises(ModelError, match=message):
        check(Experiment(name="mine", model=Model(name=SAMPLES + name, input_shape=(1, 3))))
