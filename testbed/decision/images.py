"""Servers that execute nothing before they have something whole (sections II.B and V.A)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from testbed.decision.policy import CLOUD, Image, Policy, PolicySettings, Situation
from testbed.settings.section import NotNegative, Positive
from testbed.values import Offer


class Download(Policy):
    """Each server downloads the whole model from the cloud, and executes nothing before.

    Section II.B: AWS Greengrass, Azure IoT Edge and Google Cloud IoT Edge. Meanwhile the client
    executes all layers itself. It uploads nothing.
    """

    class Settings(PolicySettings, frozen=True, kw_only=True):
        """How fast the cloud sends."""

        cloud_bps: Annotated[
            Positive,
            Meta(
                description="a server downloads from the cloud at most so fast (the global average"
                " of the paper's section II.B)"
            ),
        ] = 57.91e6

    migrates = False
    from_images = True

    def image(self, model_bytes: float, holder: str | None) -> Image:
        """Return the model, in the cloud."""
        return Image(CLOUD, model_bytes, self.own.cloud_bps)

    def offers(self, situation: Situation) -> list[Offer]:
        """Return nothing."""
        return []


class Handoff(Download):
    """A container or VM image follows the client, whole, from the server that ran it last.

    L. Ma et al., Efficient service handoff across edge servers via Docker container migration,
    SEC 2017; M. Satyanarayanan et al., cloudlets, IEEE Pervasive Computing, 2009; section V.A. It
    starts to move once the client has arrived, and the new server executes nothing before all of it
    is there. There is one image: who comes back before it has left finds it. The first server
    downloads it from the cloud.
    """

    class Settings(Download.Settings, frozen=True, kw_only=True):
        """How large an image is, and how fast a server sends it."""

        image_mb: Annotated[
            NotNegative,
            Meta(
                description="what an image has beside the model (overlays have tens or hundreds of"
                " MB: Ma et al., IEEE Trans. Mobile Computing, 2019)"
            ),
        ] = 100.0
        image_bps: Annotated[
            Positive, Meta(description="a server sends an image at most so fast")
        ] = 1e9

    def image(self, model_bytes: float, holder: str | None) -> Image:
        """Return the image, at the server that ran it last, or else in the cloud."""
        size_bytes = model_bytes + 1e6 * self.own.image_mb
        if holder is None:
            return Image(CLOUD, size_bytes, self.own.cloud_bps)
        return Image(holder, size_bytes, self.own.image_bps)
