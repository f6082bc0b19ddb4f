"""Runs a captured model's layers in about half the time, with the same results.

Whole chains of layers are executed as the one convolution that they amount to
(`testbed.dnn.folding`), with its weights in the order that oneDNN reads them in; a tensor is
forgotten when nothing reads it any more. Milliseconds of a core for a pass, plain and so, on a Xeon
of the fourth generation: Inception 154 and 80, ResNet 145 and 92, MobileNet 39 and 17
(`benchmarks/execution.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.executor import Executor
from testbed.dnn.folding import Chain, chains, folded
from testbed.dnn.tensors import Values

Convolve = Callable[[Tensor], Tensor]


class FusedExecutor(Executor):
    """An `Executor` that executes chains of layers as one, and prepares their weights once.

    A chain that a range of layers cuts is executed layer by layer.
    """

    def __init__(self, captured: CapturedModel) -> None:
        super().__init__(captured)
        self._chains = chains(captured)
        self._chain_of = {
            index: first for first, chain in self._chains.items() for index in chain.layers
        }
        self._prepared: dict[int, Convolve] = {}
        self._last_read: dict[int, list[int]] = defaultdict(list)  # layer -> what none reads later
        for producer, reader in captured.graph.last_use.items():
            self._last_read[reader].append(producer)

    def load_layer(self, index: int, buffer: bytes | bytearray | memoryview) -> None:
        """Set a layer's weights; what was prepared of earlier ones is dropped."""
        super().load_layer(index, buffer)
        self._prepared.pop(self._chain_of.get(index, index), None)

    @torch.inference_mode()
    def run(
        self, first: int, last: int, live: Values, also: Collection[int] = ()
    ) -> dict[int, tuple[Tensor, ...]]:
        """Execute layers `first` to `last` inclusive; as `Executor.run`.

        The outputs of layers `also` are returned too.
        """
        values, done = dict(live), set[int]()
        kept = {*self._graph.live(last + 1), *also}
        for index in range(first, last + 1):
            if index in done:
                continue
            chain = self._chains.get(index)
            if (
                chain is not None
                and chain.layers[-1] <= last
                and kept.isdisjoint(chain.layers[:-1])
            ):
                values[chain.layers[-1]] = (self._run_chain(index, chain, values),)
                done.update(chain.layers)
            else:
                values[index] = self.run_layer(index, values)
            for producer in self._last_read[index]:
                if producer not in kept:
                    values.pop(producer, None)
        return {producer: values[producer] for producer in sorted(kept) if producer in values}

    def _run_chain(self, index: int, chain: Chain, values: Values) -> Tensor:
        node = self._captured.steps[index].args[0]
        assert isinstance(node, torch.fx.Node)
        read = self._tensor(node, values)
        if index not in self._prepared:
            for layer in chain.layers:
                self._check_loaded(layer)
            self._prepared[index] = self._prepare(index, chain, read)
        return self._prepared[index](read)

    def _prepare(self, index: int, chain: Chain, read: Tensor) -> Convolve:
        """Return the convolution of a chain, for inputs of this shape."""
        weight, bias = (each.to(read.device, read.dtype) for each in folded(self._captured, chain))
        layer = self._readers[index]
        assert isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str)
        stride, padding, dilation = layer.stride, layer.padding, layer.dilation
        groups = layer.groups
        if not _onednn_convolves(read):

            def convolve(x: Tensor) -> Tensor:
                result = torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
                return result.relu_() if chain.rectified else result

            return convolve
        operations = torch.ops.mkldnn
        reordered = operations._reorder_convolution_weight(
            weight, padding, stride, dilation, groups, list(read.shape)
        )
        after = "relu" if chain.rectified else "none"

        def convolve_packed(x: Tensor) -> Tensor:
            result: Tensor = operations._convolution_pointwise(
                x, reordered, bias, padding, stride, dilation, groups, after, [], ""
            )
            return result

        return convolve_packed


def _onednn_convolves(read: Tensor) -> bool:
    """Whether oneDNN convolves such tensors here."""
    if read.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return read.dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported()
