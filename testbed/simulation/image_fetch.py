"""An image on its way to the server that a client has come to; of use once it is there whole."""

from __future__ import annotations

from testbed.decision.policy import Image
from testbed.simulation.log import Order, Orders, Stock

_NOTHING = 1e-3  # bytes that rounding leaves


class ImageFetch:
    """What of an image has arrived at a server, as orders of one interval each bring it."""

    def __init__(self, image: Image, source: int, server: int) -> None:
        self._image = image
        self._source = source
        self._server = server
        self.arrived_bytes = 0.0

    def order(self, client: Orders, step: int, now_s: float) -> Order:
        """Return the order for what is missing, for one interval."""
        return Order(
            client,
            self._source,
            self._server,
            step,
            self.arrived_bytes,
            self._image.size_bytes,
            Stock(self._image.size_bytes, now_s),
            most_bytes_s=self._image.most_bps / 8,
            image=True,
        )

    def take(self, order: Order) -> bool:
        """Take what an order has brought; return whether that is all."""
        self.arrived_bytes += order.sent_bytes
        return self.arrived_bytes >= self._image.size_bytes - _NOTHING
