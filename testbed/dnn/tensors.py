"""Tensors as raw little-endian bytes, with their specs beside them; nothing is ever unpickled."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from testbed.dnn.graph import TensorSpec
from testbed.errors import ProtocolError

Values = Mapping[int, tuple[Tensor, ...]]
"""Tensors by producer: a layer's index, or `INPUT` for the query's input."""

if sys.byteorder != "little":
    raise ImportError(
        "tensors travel in little-endian byte order, which this machine does not have"
    )


def tensors_from_bytes(
    specs: Sequence[TensorSpec], buffer: bytes | bytearray | memoryview
) -> list[Tensor]:
    """Return the tensors that lie one after the other in `buffer`.

    Raises ProtocolError if the specs do not account for exactly the buffer's bytes.
    """
    expected, found = sum(spec.nbytes for spec in specs), memoryview(buffer).nbytes
    if expected != found:
        raise ProtocolError(f"{len(specs)} tensors of {expected} bytes came in {found} bytes")
    if not found:
        return [torch.empty(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in specs]
    with warnings.catch_warnings():  # the buffer may be read-only; nothing writes to these tensors
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        elements = torch.frombuffer(buffer, dtype=torch.uint8)
    tensors, offset = [], 0
    for spec in specs:
        piece = elements[offset : offset + spec.nbytes]
        dtype = getattr(torch, spec.dtype)
        if piece.data_ptr() % dtype.itemsize or offset % dtype.itemsize:
            piece = piece.clone()
        tensors.append(piece.view(dtype).view(spec.shape))
        offset += spec.nbytes
    return tensors


def tensor_bytes(tensor: Tensor) -> memoryview:
    """Return a tensor's elements in row-major order; a view if they lie so in memory."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def joined_bytes(tensors: Sequence[Tensor]) -> memoryview:
    """Return the bytes of tensors one after the other; a view if they lie so in memory."""
    if not _adjacent(tensors):
        return memoryview(b"".join(map(tensor_bytes, tensors)))
    storage, start = tensors[0].untyped_storage(), tensors[0].data_ptr()
    size = sum(tensor.nbytes for tensor in tensors)
    whole = torch.empty(0, dtype=torch.uint8)
    return tensor_bytes(whole.set_(storage, start - storage.data_ptr(), (size,), (1,)))


def _adjacent(tensors: Sequence[Tensor]) -> bool:
    """Whether the tensors lie one after the other in one piece of memory."""
    if not tensors:
        return False
    storage, end = tensors[0].untyped_storage().data_ptr(), tensors[0].data_ptr()
    for tensor in tensors:
        same = tensor.untyped_storage().data_ptr() == storage and tensor.data_ptr() == end
        if not (same and tensor.is_contiguous()):
            return False
        end += tensor.nbytes
    return True


def spec_of(name: str, tensor: Tensor) -> TensorSpec:
    """Return name, shape and element type of a tensor."""
    return TensorSpec(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
