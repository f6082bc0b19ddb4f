"""Device profiles: measured times by name and work, estimates elsewhere, and their error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from testbed.dnn.devices.cross_validation import errors_by, k_fold, leave_one_model_out
from testbed.dnn.devices.device_file import ProfiledLayer, write_profile
from testbed.dnn.devices.device_profile import DEVICES, DeviceProfile, device_profile, with_measured
from testbed.dnn.devices.layer_times import MIN_SAMPLES, LayerTimeEstimator, work_of
from testbed.dnn.graph import LayerGraph
from testbed.dnn.models.published import published_graph
from testbed.errors import ConfigurationError
from tests.dnn.profiles import METADATA, planted_s, toy_layers

FREE = {"framework": "none", "processor": "p", "threads": "1", "source": "test"}


def replaced(layers: tuple[ProfiledLayer, ...], index: int, factor: float) -> list[ProfiledLayer]:
    """The layers, one of them with another time."""
    slower = msgspec.structs.replace(layers[index], time_s=factor * layers[index].time_s)
    return [*layers[:index], slower, *layers[index + 1 :]]


@pytest.mark.parametrize(
    ("device", "model", "sum_s"),
    [  # of the published files, added up apart from this code
        ("odroid-xu4", "inception", 2.5218650),
        ("odroid-xu4", "resnet", 2.9335598),
        ("odroid-xu4", "mobilenet", 0.6796752),
        ("titan-xp", "inception", 0.0110202890),
        ("titan-xp", "resnet", 0.0094434238),
    ],
)
def test_published_times(device: str, model: str, sum_s: float) -> None:
    profile, graph = device_profile(device), published_graph(model)
    times_s = profile.layer_times(graph)
    assert times_s.sum() == pytest.approx(sum_s, rel=1e-12)
    assert times_s.tolist() == [layer.time_s for layer in profile.models[model]]
    assert [layer.layer for layer in profile.models[model]] == [each.name for each in graph.layers]
    assert [layer.work for layer in profile.models[model]] == [
        work_of(graph, index) for index in range(len(graph))
    ]


def test_mobilenets_server_times_are_estimated() -> None:
    titan, graph = device_profile("titan-xp"), published_graph("mobilenet")
    assert "mobilenet" not in titan.models
    times_s = titan.layer_times(graph)
    assert (times_s > 0).all()
    assert 1e-3 < times_s.sum() < titan.layer_times(published_graph("resnet")).sum()


def test_a_layer_of_another_size_or_model_is_estimated() -> None:
    device, graph = device_profile("odroid-xu4"), published_graph("resnet")
    measured = device.layer_times(graph)
    estimated = device.layer_times(msgspec.structs.replace(graph, model="mine"))
    assert (estimated > 0).all()
    assert not np.isclose(estimated, measured).any()
    assert estimated.sum() == pytest.approx(measured.sum(), rel=0.1)
    wider = msgspec.structs.replace(graph.layers[5], output_bytes=2 * graph.layers[5].output_bytes)
    layers = (*graph.layers[:5], wider, *graph.layers[6:])
    changed = device.layer_times(msgspec.structs.replace(graph, layers=layers)) != measured
    assert np.flatnonzero(changed).tolist() == [5]


def test_names_of_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.dnn.devices.device_profile.MEASURED_FOLDER", tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"did you mean 'titan-xp'.*or a profile FILE\.csv"
    ):
        device_profile("titanxp")
    write_profile(tmp_path / "my-phone.csv", METADATA, toy_layers("m"))
    assert device_profile("my-phone").layers == toy_layers("m")
    assert device_profile(str(tmp_path / "my-phone.csv")).name == "toy"
    with pytest.raises(ConfigurationError, match="did you mean 'my-phone'"):
        device_profile("my-fone")
    for name in ("../x", "", ".", "a/b", "/etc/passwd"):
        with pytest.raises(ConfigurationError, match="unknown device"):
            device_profile(name)
    with pytest.raises(ConfigurationError, match=r"nowhere\.csv: cannot be read"):
        device_profile("nowhere.csv")


def test_measured_layers_join_their_profile(tmp_path: Path) -> None:
    path, metadata = tmp_path / "toy.csv", {"device": "toy", **FREE}
    write_profile(path, metadata, toy_layers("a"))
    both = with_measured(path, metadata, toy_layers("b"))
    assert both.models == {"a": toy_layers("a"), "b": toy_layers("b")}
    again = with_measured(path, metadata, toy_layers("a", seed=1))
    assert again.layers == toy_layers("a", seed=1)
    for key in ("device", "framework", "processor", "threads"):
        with pytest.raises(ConfigurationError, match=rf"toy\.csv: its {key} is .* not 'other'"):
            with_measured(path, {**metadata, key: "other"}, ())
    fresh = with_measured(tmp_path / "new.csv", metadata, toy_layers("a"))
    assert fresh.layers == toy_layers("a")


def test_a_profile_of_few_layers_knows_those_and_says_so_for_others() -> None:
    graph = published_graph("mobilenet")
    few = tuple(
        layer for layer in device_profile("odroid-xu4").layers if layer.model == graph.model
    )
    profile = DeviceProfile(METADATA, few[: MIN_SAMPLES - 1])
    start = LayerGraph(graph.model, graph.layers[:5], graph.inputs, graph.input_bytes, outputs=(4,))
    assert profile.layer_times(start).tolist() == [layer.time_s for layer in few[:5]]
    with pytest.raises(
        ConfigurationError, match=r"device 'toy'.*'conv2_1/sep/bn'.*from 9 measured"
    ):
        profile.layer_times(graph)
    enough = DeviceProfile(METADATA, few[:MIN_SAMPLES])
    assert (enough.layer_times(graph) > 0).all()


def fitted(layers: tuple[ProfiledLayer, ...]) -> LayerTimeEstimator:
    return LayerTimeEstimator([each.work for each in layers], [each.time_s for each in layers])


def test_the_estimator_recovers_planted_times() -> None:
    estimator = fitted(toy_layers("m"))
    for layer in toy_layers("other", seed=9):
        assert estimator.estimate(layer.work) == pytest.approx(layer.time_s, rel=1e-6)


def test_estimates_are_never_negative_and_right_in_sum() -> None:
    rng = np.random.default_rng(2)
    noisy = toy_layers("m", 200, time_s=lambda *work: planted_s(*work) * rng.lognormal(0, 0.8))
    estimated_s = [fitted(noisy).estimate(layer.work) for layer in noisy]
    assert sum(estimated_s) == pytest.approx(sum(layer.time_s for layer in noisy))
    smallest = msgspec.structs.replace(
        noisy[0].work, multiply_adds=1, input_bytes=1, weight_bytes=0, output_bytes=4
    )
    assert fitted(noisy).estimate(smallest) >= 0


def test_a_kind_of_few_layers_joins_its_class() -> None:
    many = toy_layers("m", 30)
    few = toy_layers("m", MIN_SAMPLES - 1, "Rare", 3, time_s=lambda *work: 100 * planted_s(*work))
    rare, known = few[0].work, many[0].work
    with_few = fitted((*many, *few))
    enough = toy_layers("m", MIN_SAMPLES, "Rare", 3, time_s=lambda *work: 100 * planted_s(*work))
    with_enough = fitted((*many, *enough))
    assert with_enough.estimate(rare) == pytest.approx(few[0].time_s, rel=1e-6)
    assert with_few.estimate(rare) < few[0].time_s / 2  # mixed with the convolutions
    unseen = msgspec.structs.replace(rare, kind="never seen")
    assert with_few.estimate(unseen) == with_few.estimate(rare)
    for estimator in (with_few, with_enough):  # the class does not disturb a kind of its own
        assert estimator.estimate(known) == pytest.approx(many[0].time_s, rel=1e-6)
    grouped = msgspec.structs.replace(known, group=8)
    assert with_few.estimate(grouped) != with_few.estimate(known)


def test_too_few_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="9 measured layers"):
        fitted(toy_layers("m", 9))


@pytest.mark.parametrize("validate", [leave_one_model_out, k_fold])
def test_cross_validation_recovers_planted_times(
    validate: Callable[..., npt.NDArray[np.float64]],
) -> None:
    layers = (*toy_layers("a"), *toy_layers("b", seed=1), *toy_layers("c", 5, seed=2))
    estimated_s = validate(layers)
    assert estimated_s == pytest.approx([layer.time_s for layer in layers], rel=1e-6)


def test_a_left_out_model_does_not_see_itself() -> None:
    """In-sample estimates would follow the times of the model that is estimated."""
    a, b = toy_layers("a"), toy_layers("b", seed=1)
    slow = toy_layers("a", time_s=lambda *work: 7 * planted_s(*work))
    before, after = leave_one_model_out((*a, *b)), leave_one_model_out((*slow, *b))
    assert after[: len(a)].tolist() == before[: len(a)].tolist()
    assert after[len(a) :] == pytest.approx(7 * before[len(a) :])


def test_a_left_out_layer_does_not_see_itself() -> None:
    layers = toy_layers("a")
    before = k_fold(layers)
    for index in range(len(layers)):
        after = k_fold(replaced(layers, index, 50.0))
        assert after[index] == before[index]
        assert (after != before).sum() > len(layers) / 2  # all other folds were fitted to it


def test_every_fold_is_left_out_once() -> None:
    assert not np.isnan(k_fold(toy_layers("a", MIN_SAMPLES + 2))).any()
    assert np.isnan(k_fold(toy_layers("a", MIN_SAMPLES))).all()
    assert np.isnan(leave_one_model_out(toy_layers("a"))).all()  # nothing to learn from


def test_errors_are_those_of_their_group() -> None:
    layers = toy_layers("a", 3, time_s=lambda *_: 2.0)
    estimated_s = np.array([1.0, 5.0, np.nan])
    found = errors_by(["x", "x", "y"], layers, estimated_s)
    assert list(found) == ["x"]
    assert (found["x"].layers, found["x"].measured_s, found["x"].estimated_s) == (2, 4.0, 6.0)
    assert (found["x"].mae_s, found["x"].relative, found["x"].sum_relative) == (2.0, 1.0, 0.5)


def test_estimates_for_unseen_models() -> None:
    """What a plan for a model that was never measured relies on."""
    for name in DEVICES:
        layers = device_profile(name).layers
        models = [layer.model for layer in layers]
        for error in errors_by(models, layers, leave_one_model_out(layers)).values():
            assert abs(error.sum_relative) < 0.2
            assert error.relative < 0.7


def test_times_are_read_without_torch() -> None:
    code = (
        "import sys; from testbed.dnn.devices.device_profile import device_profile; "
        "from testbed.dnn.models.published import published_graph; "
        "device_profile('titan-xp').layer_times(published_graph('mobilenet')); "
        "sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
