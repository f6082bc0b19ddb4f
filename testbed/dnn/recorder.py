"""Records one run of a module as nodes of a `torch.fx` graph."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from testbed.dnn.graph import Layer
from testbed.dnn.models.caffe_layers import BatchNorm, Concat, Eltwise, InnerProduct, Scale
from testbed.dnn.operations import (
    Operation,
    hyperparameters_of,
    kind_of,
    multiply_adds,
    obstacle,
    operation_name,
    tensors_in,
)
from testbed.dnn.tensors import spec_of
from testbed.errors import ModelError

_CAFFE_LAYERS = (BatchNorm, Scale, Concat, Eltwise, InnerProduct)


def on_copy(function: Callable[..., Any], target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Apply a function that changes its first argument to a copy of it, and return the copy."""
    target = target.clone()
    function(target, *args, **kwargs)
    return target


@dataclass(frozen=True)
class RecordedStep:
    """A recorded operation: its node, its layer but for the indices, and the weights it reads."""

    node: fx.Node
    layer: Layer
    weights: tuple[str, ...]


class Recorder(TorchFunctionMode):
    """Watches a module's run: calls of leaf modules through hooks, all else as a function mode.

    In the `torch.fx` graph a step's value is the tuple of the tensors that it computes; each tensor
    is a `getitem` node of its step. The query is a placeholder, weights and constants are
    `get_attr` nodes.
    """

    def __init__(self, module: nn.Module, examples: Sequence[Tensor], model: str) -> None:
        super().__init__()
        self.steps: list[RecordedStep] = []
        self.constants: dict[str, Tensor] = {}
        self.weight_paths: dict[str, tuple[str, ...]] = {}  # first name -> all names of a tensor
        self._module, self._model = module, model
        self._examples = [example.detach().clone() for example in examples]
        self._graph = fx.Graph()
        self._nodes: dict[int, tuple[Tensor, fx.Node]] = {}  # by id(), which the tensor keeps taken
        self._counts: dict[str, int] = {}
        self._names = {path for path, _ in module.named_modules()}
        self._in_leaf, self._before_leaf = False, torch.get_rng_state()
        self.query = self._graph.placeholder("query")
        self._track(self._examples, self.query)
        self._track_weights()

    def run(self) -> Any:
        """Run the module on the examples and return its answer."""
        hooks = [hook for path, leaf in self._leaf_modules() for hook in self._watch(path, leaf)]
        try:
            with torch.no_grad(), self:
                return self._module(*self._examples)
        except ModelError:
            raise
        except Exception as error:
            shapes = [tuple(example.shape) for example in self._examples]
            raise ModelError(
                f"model {self._model!r} fails on inputs of shapes {shapes}: {error}"
            ) from error
        finally:
            for hook in hooks:
                hook.remove()

    def node_of(self, tensor: Tensor) -> fx.Node:
        """Return the node of a tensor that the model answers with."""
        _, node = self._nodes.get(id(tensor), (None, None))
        if node is None or node.op == "get_attr":
            raise ModelError(f"model {self._model!r}: a part of its answer ignores the query")
        return node

    def weight(self, name: str) -> Tensor:
        """Return the weight of a name in `weight_paths`."""
        owner, _, attribute = name.rpartition(".")
        tensor: Tensor = getattr(self._module.get_submodule(owner), attribute)
        return tensor

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a function that the module calls; record it if it computes from query or weights."""
        kwargs = kwargs or {}
        known = [t for t in tensors_in((args, kwargs)) if id(t) in self._nodes]
        if self._in_leaf:
            return func(*args, **kwargs)
        if not known:
            return self._call(func, args, kwargs)
        if why := obstacle(func, args, kwargs, self._varies):
            self._refuse(func, why)
        target = args[0] if args and isinstance(args[0], Tensor) else known[0]
        original = target if id(target) in self._nodes else target.clone()
        version = target._version
        result = self._call(func, args, kwargs)
        if target._version != version:
            self._check_not_shared(func, target)
            arguments = (func, original, *args[1:])
            self._record(
                func, "call_function", on_copy, args=arguments, kwargs=kwargs, result=target
            )
        elif any(id(t) not in self._nodes for t in tensors_in(result)):
            self._record(func, "call_function", func, args=args, kwargs=kwargs, result=result)
        return result

    def _call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before = torch.get_rng_state()
        result = func(*args, **kwargs)
        self._check_no_chance(func, before)
        return result

    def _leaf_modules(self) -> list[tuple[str, nn.Module]]:
        """The modules that are one layer: PyTorch's own without parts, and Caffe's."""
        leaves: list[tuple[str, nn.Module]] = []
        inside: set[nn.Module] = set()
        for path, part in self._module.named_modules():
            whole = type(part).__module__.startswith("torch.nn.") and not any(part.children())
            if part not in inside and (
                whole or isinstance(part, (nn.MultiheadAttention, *_CAFFE_LAYERS))
            ):
                leaves.append((path, part))
                inside.update(part.modules())
        return leaves

    def _watch(self, path: str, leaf: nn.Module) -> list[Any]:
        """Record each call of a leaf as one step, and nothing of what happens inside it."""

        def enter(_module: nn.Module, _args: Any) -> None:
            self._in_leaf, self._before_leaf = True, torch.get_rng_state()

        def leave(module: nn.Module, args: Any, kwargs: dict[str, Any], result: Any) -> None:
            self._check_no_chance(module, self._before_leaf)
            self._record(module, "call_module", path, args=args, kwargs=kwargs, result=result)
            self._in_leaf = False

        return [
            leaf.register_forward_pre_hook(enter),
            leaf.register_forward_hook(leave, with_kwargs=True),
        ]

    def _record(
        self,
        operation: Operation,
        op: str,
        target: Any,
        *,
        args: Any,
        kwargs: dict[str, Any],
        result: Any,
    ) -> None:
        """Append a step to the graph and to `steps`; its results are known from now on."""
        node_args, node_kwargs = tree_map(self._argument, (tuple(args), kwargs))
        node = self._graph.create_node(op, target, node_args, node_kwargs)
        read = [t for t in tensors_in((args, kwargs)) if id(t) in self._nodes]
        weights = [t for t in read if self._nodes[id(t)][1].op == "get_attr"]
        inputs = [t for t in read if self._nodes[id(t)][1].op != "get_attr"]
        if isinstance(operation, nn.Module):
            weights += [*operation.parameters(), *operation.buffers()]
        targets = dict.fromkeys(str(self._nodes[id(t)][1].target) for t in weights)
        names = tuple(target for target in targets if target in self.weight_paths)
        outputs = tensors_in(result)
        if any(tensor.layout != torch.strided for tensor in outputs):
            self._refuse(operation, "returns a sparse tensor, which cannot travel")
        if any(torch.is_autocast_enabled(tensor.device.type) for tensor in outputs):
            self._refuse(operation, "is called under torch.autocast, which layers do not keep")
        specs = tuple(spec_of("output", tensor) for tensor in outputs)
        layer = Layer(
            name=self._layer_name(operation, target),
            kind=kind_of(operation),
            inputs=(),
            weight_bytes=0,
            output_bytes=sum(spec.nbytes for spec in specs),
            outputs=specs,
            multiply_adds=multiply_adds(operation, inputs, weights, outputs),
            hyperparameters=hyperparameters_of(operation),
        )
        self.steps.append(RecordedStep(node, layer, names))
        self._track(outputs, node)

    def _track(self, tensors: Sequence[Tensor], step: fx.Node) -> None:
        for position, tensor in enumerate(tensors):
            node = self._graph.call_function(operator.getitem, (step, position))
            self._nodes[id(tensor)] = (tensor, node)

    def _track_weights(self) -> None:
        paths: dict[int, list[str]] = {}
        named = [
            *self._module.named_parameters(remove_duplicate=False),
            *self._module.named_buffers(remove_duplicate=False),
        ]
        for path, tensor in named:
            paths.setdefault(id(tensor), []).append(path)
        for path, tensor in named:
            if id(tensor) not in self._nodes:
                self._nodes[id(tensor)] = (tensor, self._graph.get_attr(path))
                self.weight_paths[path] = tuple(paths[id(tensor)])

    def _argument(self, value: Any) -> Any:
        """The node of a tensor; a tensor that does not depend on the query becomes a constant."""
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self._nodes:
            name = f"constant{len(self.constants)}"
            self.constants[name] = value.clone()
            self._nodes[id(value)] = (value, self._graph.get_attr(name))
        return self._nodes[id(value)][1]

    def _layer_name(self, operation: Operation, target: Any) -> str:
        """The module's path the first time that it is called, else a name and a counter."""
        name = target if isinstance(operation, nn.Module) else operation_name(operation)
        name = name or operation_name(operation)  # the whole model is one layer
        self._counts[name] = count = self._counts.get(name, 0) + 1
        if isinstance(operation, nn.Module) and count == 1:
            return name
        while (unique := f"{name}_{self._counts[name]}") in self._names:
            self._counts[name] += 1
        self._names.add(unique)
        return unique

    def _varies(self, tensor: Tensor) -> bool:
        """Whether a tensor's elements differ between queries or between clients."""
        _, node = self._nodes.get(id(tensor), (None, None))
        return node is not None and str(node.target) not in self.constants

    def _refuse(self, operation: Operation, why: str) -> NoReturn:
        raise ModelError(
            f"model {self._model!r} cannot be captured: operation "
            f"{operation_name(operation)!r} {why}"
        )

    def _check_no_chance(self, operation: Operation, before: Tensor) -> None:
        """Raise if PyTorch's generator is no longer in the state `before` the operation."""
        if not torch.equal(before, torch.get_rng_state()):
            self._refuse(
                operation, "draws random numbers, so the answer to a query would never be the same"
            )

    def _check_not_shared(self, func: Callable[..., Any], target: Tensor) -> None:
        """Raise if changing `target` in place also changes another tensor."""
        storage = target.untyped_storage().data_ptr()
        others = (
            tensor
            for tensor, _ in self._nodes.values()
            if tensor is not target and not tensor.is_meta
        )
        if any(tensor.untyped_storage().data_ptr() == storage for tensor in others):
            self._refuse(
                func,
                f"changes a tensor of shape {tuple(target.shape)} in place, and others are views "
                f"of the same memory",
            )
