"""Builds models: the paper's three with seeded random weights, or any factory of a user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from testbed.dnn.captured_model import without_weights
from testbed.dnn.models.caffe_layers import BatchNorm, Scale
from testbed.dnn.models.inception import Inception
from testbed.dnn.models.mobilenet import MobileNet
from testbed.dnn.models.resnet import ResNet
from testbed.errors import ModelError, unknown_name
from testbed.plugins import users_attribute

DEFAULT_INPUT_SHAPE = (1, 3, 224, 224)

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "inception": Inception,
    "mobilenet": MobileNet,
    "resnet": ResNet,
}


def build_model(
    name: str, seed: int | None = 0, input_shape: Sequence[int] = DEFAULT_INPUT_SHAPE
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return a module in evaluation mode, with example inputs.

    `name` is one of `NETWORKS` or "package.module:factory", whose factory returns a module or
    (module, example inputs). The same seed gives the same weights; `None` gives the structure
    alone, on PyTorch's "meta" device, for who receives the weights later. Where the factory names
    no example inputs, one of `input_shape` is used, the same for every seed. Raises ModelError if
    there is no such model, or its factory fails or returns something else.
    """
    if name in NETWORKS:
        with torch.device("meta"):
            module = NETWORKS[name]()
        if seed is not None:
            fill_weights(module, seed)
        examples: tuple[Tensor, ...] | None = None
    else:
        module, examples = _call_factory(name, _factory(name), seed)
    module.eval().requires_grad_(False)
    if seed is None:
        module = without_weights(module)
    if not examples:
        drawn = np.random.default_rng(0).random(tuple(input_shape), dtype=np.float32)
        examples = (torch.from_numpy(drawn),)
    return module, examples


def fill_weights(module: nn.Module, seed: int) -> None:
    """Give one of `NETWORKS` random weights that keep activations finite and answers different.

    All weights are drawn at once, uniformly, and views of them scaled layer by layer: He et al.'s
    range for convolutions, variances around 1, means and biases around 0. A layer's weights lie one
    after the other in memory, in the order in which they travel.
    """
    owners = [(part, *item) for part in module.modules() for item in _own_weights(part)]
    total = sum(tensor.numel() for *_, tensor in owners)
    drawn = torch.from_numpy(np.random.default_rng(seed).random(total, dtype=np.float32))
    offset = 0
    for part, name, tensor in owners:
        values = drawn[offset : offset + tensor.numel()].view(tensor.shape)
        offset += tensor.numel()
        low, high = _range(part, name, tensor)
        values.mul_(high - low).add_(low)
        is_parameter = isinstance(tensor, nn.Parameter)
        setattr(part, name, nn.Parameter(values, requires_grad=False) if is_parameter else values)


def _own_weights(part: nn.Module) -> list[tuple[str, Tensor]]:
    return [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]


def _range(part: nn.Module, name: str, tensor: Tensor) -> tuple[float, float]:
    """The least and greatest value of one weight tensor."""
    if isinstance(part, BatchNorm):
        return {"mean": (-0.1, 0.1), "variance": (0.5, 1.5), "scale_factor": (0.99, 1.0)}[name]
    if isinstance(part, Scale):
        return {"weight": (0.7 * part.gain, 1.3 * part.gain), "bias": (-0.1, 0.1)}[name]
    if name == "bias":
        return -0.1, 0.1
    bound = (6.0 / tensor[0].numel()) ** 0.5  # He et al. 2015: variance 2 / inputs of a neuron
    return -bound, bound


def _factory(name: str) -> Callable[[], Any]:
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise ModelError(f"{unknown_name('model', name, NETWORKS)}, or package.module:factory")
    try:
        factory = users_attribute(module_name, attribute)
    except (Exception, SystemExit) as error:  # whatever a user's module does when it is loaded
        text = f"cannot be imported: {type(error).__name__}: {error}"
        raise ModelError(f"model {name!r} {text}") from error
    if not callable(factory):
        raise ModelError(f"model {name!r} is not callable: {factory!r}")
    result: Callable[[], Any] = factory
    return result


def _call_factory(
    name: str, factory: Callable[[], Any], seed: int | None
) -> tuple[nn.Module, tuple[Tensor, ...] | None]:
    """Call a user's factory with PyTorch's generator seeded, and left as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if seed is None else seed)
        try:
            built = factory()
        except Exception as error:
            raise ModelError(f"model {name!r}: its factory failed: {error!r}") from error
    module, examples = built if isinstance(built, tuple) and len(built) == 2 else (built, None)
    if isinstance(examples, Tensor):
        examples = (examples,)
    valid = examples is None or (
        isinstance(examples, (tuple, list)) and all(isinstance(e, Tensor) for e in examples)
    )
    if not (isinstance(module, nn.Module) and valid):
        raise ModelError(
            f"model {name!r}: its factory must return an nn.Module or (nn.Module, example inputs), "
            f"not {type(built).__name__}"
        )
    for path, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor):
            raise ModelError(
                f"model {name!r}: {path!r} has no shape yet; its factory must call the module once"
            )
    return module, tuple(examples) if examples else None
