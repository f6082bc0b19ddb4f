from __future__ import annotations

import itertools

import msgspec
import pytest
import torch
from torch import Tensor, nn

from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.executor import Executor
from testbed.dnn.graph import INPUT, LayerGraph
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import NETWORKS, build_model
from testbed.dnn.tensors import joined_bytes, spec_of, tensors_from_bytes
from testbed.errors import ModelError, ProtocolError
from tests.dnn import sample_models

SAMPLES = "tests.dnn.sample_models:"
SMALL = ("chain", "unet", "two_inputs", "tuples", "tied", "transformer", "attention")


def captured(name: str) -> tuple[CapturedModel, tuple[Tensor, ...]]:
    module, examples = build_model(name if name in NETWORKS else SAMPLES + name)
    return capture(module, examples, name), examples


def other_query(examples: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(example.flip(-1) for example in examples)


def carried(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return tensors as they arrive where they were sent as bytes."""
    specs = [spec_of("", tensor) for tensor in tensors]
    return tuple(tensors_from_bytes(specs, joined_bytes(tensors)))


def split_answer(model: CapturedModel, cuts: tuple[int, ...], query: tuple[Tensor, ...]) -> object:
    """Alternate between two executors at the cuts; only needed tensors pass, as bytes."""
    graph = model.graph
    server = Executor(model.without_weights())
    client = Executor(model)
    for index in range(len(graph)):
        server.load_layer(index, bytes(client.layer_weights(index)))
    known: tuple[dict[int, tuple[Tensor, ...]], ...] = ({INPUT: query}, {})
    bounds = (0, *cuts, len(graph))
    for side, (first, end) in zip(itertools.cycle((0, 1)), itertools.pairwise(bounds)):
        wanted = [p for p in graph.reads(first, end - 1) if p not in known[side]]
        known[side].update({p: carried(known[1 - side][p]) for p in wanted})
        known[side].update((client, server)[side].run(first, end - 1, known[side]))
    return client.answer(known[0] | known[1])


@pytest.mark.parametrize("name", SMALL)
def test_every_split_of_a_small_model_answers_as_the_module_does(name: str) -> None:
    model, examples = captured(name)
    query = other_query(examples)
    with torch.inference_mode():
        expected = model.module(*query)
    n = len(model.graph)
    pairs = [*itertools.combinations(range(1, n), 2)]
    for cut in [(), *((i,) for i in range(1, n)), *pairs[:: max(1, len(pairs) // 40)]]:
        torch.testing.assert_close(split_answer(model, cut, query), expected)


def test_inception_split_client_server_client_answers_as_the_module_does() -> None:
    model, examples = captured("inception")
    query = other_query(examples)
    expected = Executor(model).query(*query)
    torch.testing.assert_close(model.module(*query), expected, rtol=1e-3, atol=1e-7)
    for cuts in ((1, 301), (40, 120, 200), (299,)):
        torch.testing.assert_close(split_answer(model, cuts, query), expected)
    last = len(model.graph) - 1
    every = Executor(model).run_all(*query)
    torch.testing.assert_close(every[last][0], expected)
    assert (expected - Executor(model).query(*examples)).abs().max() > 1e-4


@pytest.mark.parametrize("name", SMALL)
def test_all_weights_belong_to_exactly_one_layer(name: str) -> None:
    model, _ = captured(name)
    tensors = {id(t): t for t in (*model.module.parameters(), *model.module.buffers())}
    assert model.graph.weight_bytes.sum() == sum(t.nbytes for t in tensors.values())
    assert len({layer.name for layer in model.graph.layers}) == len(model.graph)


@pytest.mark.parametrize("name", SMALL)
def test_a_profile_survives_the_wire(name: str) -> None:
    model, _ = captured(name)
    raw = msgspec.msgpack.encode(model.graph)
    assert msgspec.msgpack.decode(raw, type=LayerGraph) == model.graph


def test_modules_keep_their_names_and_functions_are_counted() -> None:
    model, _ = captured("unet")
    names = [layer.name for layer in model.graph.layers]
    assert names[:2] == ["down1", "relu_1"]
    assert names[-5:] == ["up1", "cat_2", "merge1", "relu_5", "out"]
    assert model.graph.layers[0].hyperparameters["num_output"] == 4


def test_a_structure_without_weights_has_the_same_graph() -> None:
    module, examples = build_model("mobilenet", seed=None)
    assert all(parameter.is_meta for parameter in module.parameters())
    assert capture(module, examples, "mobilenet").graph == captured("mobilenet")[0].graph


@pytest.mark.parametrize("name", SMALL)
def test_a_factorys_structure_has_the_graph_of_its_weights(name: str) -> None:
    module, examples = build_model(SAMPLES + name, seed=None)
    assert all(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    assert capture(module, examples, name).graph == captured(name)[0].graph


def test_a_layer_without_its_weights_does_not_run() -> None:
    model, examples = captured("chain")
    server = Executor(model.without_weights())
    with pytest.raises(ProtocolError, match=r"'features\.0' has no weights"):
        server.query(*examples)
    with pytest.raises(ProtocolError, match="bytes"):
        server.load_layer(0, b"123")
    server.load_layer(0, Executor(model).layer_weights(0))
    server.run(0, 0, {INPUT: examples})


def test_a_tied_weight_travels_once_and_both_layers_need_it() -> None:
    model, _ = captured("tied")
    last = model.graph.layers[-1]
    assert last.weight_bytes == 0 and last.weights_of == (0,)
    server = Executor(model.without_weights())
    assert not server.is_loaded(len(model.graph) - 1)
    server.load_layer(0, Executor(model).layer_weights(0))
    assert server.is_loaded(len(model.graph) - 1)


def test_a_missing_input_is_named() -> None:
    model, _ = captured("chain")
    with pytest.raises(ProtocolError, match="query's input"):
        Executor(model).run(0, 0, {})


def test_tensors_come_back_from_their_bytes_and_lengths_are_checked() -> None:
    tensors = (
        *(torch.rand(2, 3), torch.tensor([True, False, True]), torch.arange(5)),
        *(torch.rand(()).to(torch.bfloat16), torch.zeros(0, 3)),
    )
    torch.testing.assert_close(carried(tensors), tensors, rtol=0, atol=0)
    specs, raw = [spec_of("", tensor) for tensor in tensors], joined_bytes(tensors)
    with pytest.raises(ProtocolError, match="bytes"):
        tensors_from_bytes(specs, raw[:-1])
    wrong = msgspec.structs.replace(specs[0], shape=(2**40, 3))
    with pytest.raises(ProtocolError):
        tensors_from_bytes([wrong], raw)
    assert tensors_from_bytes([], b"") == []


def test_a_unets_skip_is_live_across_all_coarser_layers() -> None:
    graph = captured("unet")[0].graph
    index = {layer.name: i for i, layer in enumerate(graph.layers)}
    assert all(index["relu_1"] in graph.live(b) for b in range(2, index["cat_2"] + 1))
    assert graph.layers[index["cat_2"]].inputs == (index["relu_1"], index["up1"])


@pytest.mark.parametrize(
    ("module", "operation", "reason"),
    [
        (sample_models.Branches(), "bool", "turns a tensor into a Python value"),
        (sample_models.OutsideTorch(), "float", "turns a tensor into a Python value"),
        (sample_models.Item(), "item", "turns a tensor into a Python value"),
        (sample_models.Loop(), "index", "turns a tensor into a Python value"),
        (sample_models.Numpy(), "numpy", "turns a tensor into a Python value"),
        (sample_models.Masked(), "getitem", "selects by a mask"),
        (sample_models.Random(), "randn", "draws random numbers"),
        (sample_models.RandomLayer(), "FractionalMaxPool2d", "draws random numbers"),
        (sample_models.SlicedByData(), "getitem", "takes a slice whose bounds depend"),
        (sample_models.IntoOut(), "add", "writes into its argument out="),
        (sample_models.RepeatedByData(), "repeat_interleave", "returns a tensor whose shape"),
        (sample_models.OneHot(-1), "one_hot", "returns a tensor whose shape"),
        (sample_models.Counted(), "bincount", "returns a tensor whose shape"),
        (sample_models.Autocast(), "Linear", "is called under torch.autocast"),
        (sample_models.Sparse(), "to_sparse", "returns a sparse tensor"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_cannot_be_captured_is_named(module: nn.Module, operation: str, reason: str) -> None:
    with pytest.raises(ModelError, match=f"operation '{operation}' {reason}"):
        capture(module, (torch.rand(1, 3),), "mine")


@pytest.mark.parametrize(
    "module",
    [sample_models.ChangesItsInput(), sample_models.RepeatedByConstant(), sample_models.OneHot(3)],
    ids=lambda module: type(module).__name__,
)
def test_what_only_looks_like_it_cannot_be_captured_is(module: nn.Module) -> None:
    model, query = capture(module, (torch.rand(1, 3),), "mine"), torch.rand(1, 3)
    found = Executor(model).query(query)
    torch.testing.assert_close(found, module(query.clone()))


def test_a_layer_whose_shape_differs_for_a_second_query_is_named() -> None:
    with pytest.raises(ModelError, match="layer 'arange_1' returns depends on the query"):
        capture(sample_models.CountedUp(), (torch.tensor([[0.1, 0.2, 0.9]]),), "mine")


def test_a_model_that_fails_on_a_second_query_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="fails on a second query: only once"):
        capture(sample_models.FailsOnOthers(), (torch.rand(1, 3),), "mine")


def test_randomness_that_pytorch_does_not_see_is_found_by_a_second_query() -> None:
    with pytest.raises(ModelError, match="at random"):
        capture(sample_models.RandomOutsideTorch(), (torch.rand(1, 3),), "mine")


def test_a_model_that_fails_on_its_input_is_a_model_error() -> None:
    with pytest.raises(ModelError, match=r"fails on inputs of shapes \[\(1, 3\)\]"):
        capture(nn.Linear(4, 2), (torch.rand(1, 3),), "linear")
