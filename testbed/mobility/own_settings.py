"""What predictors declare as their own settings; read for --help without what they learn with."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from testbed.settings.section import Section


class PredictorSettings(Section, frozen=True, kw_only=True):
    """Base of the settings that a predictor declares as its own, `--set predictor.NAME=VALUE`."""


class LstmSettings(PredictorSettings, frozen=True, kw_only=True):
    """The size of the recurrent network: 32 for KAIST, 16 for Geolife (section IV.B.2)."""

    units: Annotated[int, Meta(ge=1, description="size of the latent vector")] = 32
