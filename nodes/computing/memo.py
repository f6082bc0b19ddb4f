"""What layers give for a client's inputs, computed before the run and shared by all nodes."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

from torch import Tensor

from nodes.computing.outputs import Outputs
from testbed.dnn.graph import LayerGraph
from testbed.dnn.tensors import joined_bytes


class Memo:
    """True outputs of the layers `kept`, a file for each client and input, shared by all nodes.

    Those of other layers are computed when a query needs them. The folder is made.
    """

    def __init__(self, graph: LayerGraph, folder: Path, kept: Collection[int]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._maps: dict[Path, mmap.mmap] = {}
        producers = sorted(kept)
        spans = pairwise(accumulate(map(graph.bytes_of, producers), initial=0))
        self._places = {p: slice(*span) for p, span in zip(producers, spans, strict=True)}

    @property
    def kept(self) -> tuple[int, ...]:
        """The layers whose outputs are kept, ascending."""
        return tuple(self._places)

    @property
    def kept_bytes(self) -> int:
        """Bytes of an input's file."""
        return max(place.stop for place in self._places.values())

    def keeps(self, producers: Sequence[int]) -> bool:
        """Whether the outputs of all these producers are kept."""
        return all(producer in self._places for producer in producers)

    def write(self, client: str, input_key: int, outputs: Mapping[int, Sequence[Tensor]]) -> None:
        """Keep the outputs of `kept`, which are among those of a query."""
        with self._path(client, input_key).open("wb") as file:
            for producer in self._places:
                file.write(joined_bytes(outputs[producer]))

    def read(self, client: str, input_key: int, producers: Sequence[int]) -> Outputs:
        """Return the outputs of these producers, mapped, not copied."""
        path = self._path(client, input_key)
        if path not in self._maps:
            with path.open("rb") as file:
                self._maps[path] = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        whole = memoryview(self._maps[path])
        return {producer: whole[self._places[producer]] for producer in producers}

    def _path(self, client: str, input_key: int) -> Path:
        return self.folder / f"{client}-{input_key}"
