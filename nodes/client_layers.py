"""The layers of clients that an edge server holds: as files, loaded for execution, and how long."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache

from nodes.computing.compute import Computer
from nodes.computing.own_gpu import ServerGpu
from nodes.setup import NodeSetup
from nodes.transport.layer_transfer import is_whole
from testbed.decision.time_to_live import HeldLayers, kept_after_leaving_s
from testbed.errors import ProtocolError
from testbed.layerstore import LayerStore
from testbed.protocol.messages import LayerRef


class ClientLayers:
    """What one server has of each client, by name of the layer's content.

    `held` says how much of it is here and until when. Images (section V.A) are all of a client's
    layers and what an image has beside them, and stay where they are of use until they move on.
    """

    def __init__(self, setup: NodeSetup, server: str, computer: Computer, gpu: ServerGpu) -> None:
        self._setup = setup
        self._server = server
        self._computer = computer
        self._gpu = gpu
        settings = setup.experiment
        kept_s = kept_after_leaving_s(settings.migration, settings.traces.step_s)
        self.held: HeldLayers[str] = HeldLayers(kept_s)
        self._named: dict[str, dict[int, LayerRef]] = defaultdict(dict)
        self.store = cache(self._open_store)

    def _open_store(self, client: str) -> LayerStore:
        return self._setup.layer_store(self._server, client)

    def can_execute(self, client: str, layer: int) -> bool:
        """Whether a layer can be executed for a client: its weights, if any, are here."""
        if not self._computer.graph.layers[layer].weight_bytes:
            return True
        ref = self._named[client].get(layer)
        return ref is not None and is_whole(self.held, client, ref)

    def name(self, client: str, layers: Sequence[LayerRef]) -> None:
        """A client's layers are announced; what is here already can be executed.

        A client has one version of each layer: the bytes of an earlier one are discarded. Raises
        ProtocolError for layers that the model does not have.
        """
        self._check(client, layers)
        named = self._named[client]
        for ref in layers:
            earlier = named.get(ref.layer, ref)
            named[ref.layer] = ref
            if not self.is_named(client, earlier.digest):
                self.held.forget(client, earlier.digest)
                self.store(client).discard(earlier.digest)
            if is_whole(self.held, client, ref):  # perhaps as another layer of equal bytes
                self._load(client, ref)

    def is_named(self, client: str, digest: str) -> bool:
        """Whether a client has a layer of these bytes."""
        return any(ref.digest == digest for ref in self._named[client].values())

    def arrived(self, client: str, ref: LayerRef) -> None:
        """A layer is here whole: load it, and all others of the same bytes."""
        named = self._named[client]
        for known in named.values():
            if known.digest == ref.digest:
                self._load(client, known)
        whole = (is_whole(self.held, client, each) for each in named.values())
        if self._setup.images_stay and all(whole):
            self.held.offer(client, math.inf)

    def moved(self, client: str) -> None:
        """A client's image is at another server now, and no longer of use here."""
        self.held.release(client)

    def preload(self) -> None:
        """Hold everything of all clients, as the bound of section IV.B.3 does, and the cloud."""
        for client in self._setup.clients:
            self._begin_with(client, self._setup.image_parts(client), math.inf, math.inf)

    def warm_up(self) -> None:
        """Hold what the hours before the run have left here."""
        if (begins := self._setup.warm_start) is None:
            return
        for client, held in begins.at(self._server).items():
            by_layer = {ref.layer: ref for ref in self._setup.weights(client)}
            refs = [by_layer[layer] for layer in begins.layers]
            until_s = math.inf if held.until_s is None else held.until_s
            self._begin_with(client, refs, held.present_bytes, until_s)
        for client, each in begins.clients.items():
            if each.image_at == self._server:
                self._begin_with(client, self._setup.image_parts(client), math.inf, math.inf)

    def discard_expired(self, now_s: float) -> None:
        """Discard clients' layers whose time to live is over (section III.B.2)."""
        for client, digests in self.held.discard_expired(now_s).items():
            self._named.pop(client, None)
            self._computer.unload(client)
            self._gpu.hold(client, 0)
            for digest in digests:
                self.store(client).discard(digest)

    def _begin_with(
        self, client: str, refs: Iterable[LayerRef], present_bytes: float, until_s: float
    ) -> None:
        """Hold the first so many bytes of a client's layers, one after the other."""
        self.held.offer(client, until_s)
        store = self.store(client)
        for ref in refs:
            count = int(min(ref.size_bytes, present_bytes))
            present_bytes -= count
            if count == ref.size_bytes:
                store.link(ref.digest)
            elif count:
                whole = self._setup.layer_store(client, client).read(ref.digest)
                store.write(ref.digest, 0, memoryview(whole)[:count])
            else:
                return
            self._named[client][ref.layer] = ref
            self.held.add(client, ref.digest, count)
            if count == ref.size_bytes:
                self._load(client, ref)

    def _check(self, client: str, layers: Sequence[LayerRef]) -> None:
        graph, rest = self._computer.graph, self._setup.image_rest
        if len({ref.layer for ref in layers}) < len(layers):
            raise ProtocolError(f"{client} names a layer twice")
        for ref in layers:
            self.store(client).path(ref.digest)  # or it is no digest
            if ref != rest and (
                not 0 <= ref.layer < len(graph)
                or not graph.layers[ref.layer].weight_bytes == ref.size_bytes > 0
            ):
                raise ProtocolError(f"{ref} is no layer of {graph.model}")

    def _load(self, client: str, ref: LayerRef) -> None:
        if ref != self._setup.image_rest:
            weights = self.store(client).read(ref.digest)
            self._computer.load(client, ref.layer, ref.digest, weights)
            self._gpu.hold(client, self._computer.held_bytes(client))
