"""What every node of a run knows from the start: one document, written before they are forked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from testbed.layerstore import LayerStore
from testbed.protocol.messages import LayerRef
from testbed.runs.records import RecordWriter
from testbed.runs.warm_start import WarmStart
from testbed.settings.experiment import Experiment
from testbed.values import AccessPoint, Fix, client_seed

Role = Literal["client", "edge", "master", "pool"]
ComputeMode = Literal["real", "memo", "profile"]


class NodeSetup(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, who is where, and the folders that all nodes of a run share."""

    experiment: Experiment
    run_folder: str
    scratch: str  # the sandbox's temporary file system: layers, memos
    access_points: tuple[AccessPoint, ...]
    addresses: dict[str, str]  # access points and master
    clients: tuple[str, ...]
    warm_start: WarmStart | None  # what servers hold when the run begins
    image_rest: LayerRef | None  # what images have beside a model's layers, the same for all
    images_stay: bool  # servers keep an image until it moves on, where there are images
    trajectories: dict[str, tuple[Fix, ...]]  # client -> positions before the run, oldest first

    @property
    def memo_folder(self) -> Path:
        """Where true outputs are kept, a file for each client and input."""
        return Path(self.scratch, "memo")

    @property
    def executions_folder(self) -> Path:
        """Where work for the execution pool lies."""
        return Path(self.scratch, "executions")

    @property
    def pool_folder(self) -> Path:
        """Where all layers of this machine's nodes lie, each once."""
        return Path(self.scratch, "pool")

    def weights_file(self, client: str) -> Path:
        """Where the digests of a client's layers stand."""
        return Path(self.scratch, "layers", client, "weights.json")

    def weights(self, client: str) -> tuple[LayerRef, ...]:
        """Return a client's layers that have weights, once its model is built."""
        file = self.weights_file(client)
        return msgspec.json.decode(file.read_bytes(), type=tuple[LayerRef, ...])

    def image_parts(self, client: str) -> tuple[LayerRef, ...]:
        """Return all that a server needs for a client: its layers, and the rest of an image."""
        return self.with_image_rest(self.weights(client))

    def with_image_rest(self, layers: Iterable[LayerRef]) -> tuple[LayerRef, ...]:
        """Return layers and what an image has beside them."""
        return (*layers, *(() if self.image_rest is None else (self.image_rest,)))

    def input_file(self, client: str, key: int) -> Path:
        """Where one of a client's distinct inputs lies."""
        return Path(self.scratch, "layers", client, f"input-{key}")

    def layer_store(self, node: str, client: str) -> LayerStore:
        """Return the layers of a client that a node holds."""
        return LayerStore(Path(self.scratch, "layers", node, client), self.pool_folder)

    def record_writer(self, node: str) -> RecordWriter:
        """Return the writer of a node's rows."""
        return RecordWriter(Path(self.run_folder), node)

    def client_seed(self, client: str) -> int:
        """Return the seed of a client's weights and inputs: models are personal."""
        return client_seed(self.experiment.seed, self.clients.index(client))
