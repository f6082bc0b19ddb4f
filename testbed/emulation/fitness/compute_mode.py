"""Choosing how queries are computed: what `--compute auto` means on this machine."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from nodes.requests import ModelMeasure
from nodes.setup import ComputeMode
from testbed.settings.experiment import Experiment

#: Share of the processors that computing may take; switches, sockets and hashing need the rest.
_COMPUTE_SHARE = 0.5


@dataclass(frozen=True)
class ComputeChoice:
    """The mode, and why it was taken."""

    mode: ComputeMode
    reason: str


def choose(settings: Experiment, measured: ModelMeasure) -> ComputeChoice:
    """Return `real` where this machine executes the model within the devices' time, else `memo`.

    A mode that the settings name is taken as it is.
    """
    if settings.compute.mode != "auto":
        return ComputeChoice(settings.compute.mode, "as set")
    tdf, gpu_pass_s = settings.compute.dilation, measured.gpu_pass_s
    query_s = (measured.server_s + settings.model.query_gap_s) * tdf
    queries_a_s = settings.replay.clients / query_s
    load = queries_a_s * measured.pass_s / len(os.sched_getaffinity(0))
    if gpu_pass_s is None:
        allowed_s = min(measured.client_s, measured.server_s) * tdf
        parts = [measured.pass_s / allowed_s, load / _COMPUTE_SHARE]
        on_gpu = ""
    else:
        allowed_s = measured.client_s * tdf
        gpu_load, gpu_allowed_s = queries_a_s * gpu_pass_s, measured.server_s * tdf
        parts = [measured.pass_s / allowed_s, load / _COMPUTE_SHARE]
        parts += [gpu_pass_s / gpu_allowed_s, gpu_load / _COMPUTE_SHARE]
        on_gpu = (
            f"; on the GPU {gpu_pass_s * 1e3:.1f} ms of {gpu_allowed_s * 1e3:.0f} ms, and"
            f" {gpu_load:.0%} of it"
        )
    reason = (
        f"a pass takes {measured.pass_s * 1e3:.0f} ms here, the devices' profile times tdf allows "
        f"{allowed_s * 1e3:.0f} ms; computing would use {load:.0%} of the processors, "
        f"{_COMPUTE_SHARE:.0%} are allowed{on_gpu}"
    )
    slower = max(parts)
    if slower <= 1:
        return ComputeChoice("real", reason)
    real_tdf = math.ceil(tdf * slower)
    reason += f"; --compute real --tdf {real_tdf} computes everything in time on this machine"
    if settings.replay.duration_s != "all":
        reason += f", {settings.replay.duration_s * real_tdf / 60:.0f} min"
    return ComputeChoice("memo", reason)
