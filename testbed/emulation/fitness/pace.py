"""How much slower than reality a run has to go here: what `compute.tdf=auto` means.

A probe finds out, before anything is made, how much of the processors a run would get beside what
else this machine does. The run takes the least dilation at which it needs no more than half of that
at its worst moment: times are kept only while there is a margin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import ceil

from nodes.requests import ModelMeasure
from nodes.setup import ComputeMode
from testbed.dnn.devices.device_profile import device_profile
from testbed.emulation.fitness.capacity import need
from testbed.settings.experiment import Experiment
from testbed.simulation.offloading import layer_graph

_MARGIN_SHARE = 0.5  # of the processors' time that is left, which a run may need
#: A core of 2.5 GHz with AVX-512: Inception's 3.4 G in 85 ms (`benchmarks/execution.py`).
_MULTIPLY_ADDS_A_S = 40e9
_STEPS = 4  # of a dilation, to one more
_PROBE_S = 1.5
#: Takes what it gets of a processor for so long, and says which share that was.
_PROBE = """
import json, sys, time
seconds, began_s = float(sys.argv[1]), time.monotonic()
while (passed_s := time.monotonic() - began_s) < seconds:
    pass
print(json.dumps(time.process_time() / passed_s))
"""


def free_processors(seconds: float = _PROBE_S) -> float:
    """Return how many processors' time this machine has left, by taking it for some seconds."""
    command = [sys.executable, "-S", "-c", _PROBE, str(seconds)]
    count = len(os.sched_getaffinity(0))
    probes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
    shares = [json.loads(probe.communicate()[0]) for probe in probes]
    return float(min(count, sum(shares)))


def sufficient_pace(settings: Experiment, access_points: int, free: float) -> tuple[float, str]:
    """Return the dilation that a run takes with so many processors' time left, and why.

    With `--compute real` a pass must also end within the devices' time; how long it takes is
    reckoned from its multiply-adds.
    """
    graph = layer_graph(settings.model)
    client_s, server_s = (
        float(device_profile(device).layer_times(graph).sum())
        for device in (settings.model.client_device, settings.model.server_device)
    )
    mode: ComputeMode = "real" if settings.compute.mode == "real" else "memo"
    pass_s = sum(layer.multiply_adds for layer in graph.layers) / _MULTIPLY_ADDS_A_S
    model = ModelMeasure(pass_s, client_s, server_s, weight_bytes=0, memo_bytes=0)
    wanted = need(settings.at_pace(1.0), access_points, mode, model).processors
    paces = [1.0, wanted / (_MARGIN_SHARE * free)]
    reason = (
        f"at its worst moment the run needs {wanted:.1f} processors undilated, {free:.1f} are free,"
        " and half of them keep its times"
    )
    if mode == "real":
        on_gpu = settings.compute.device == "cuda"  # then the processors execute for clients alone
        allowed_s = client_s if on_gpu else min(client_s, server_s)
        paces.append(pass_s / (_MARGIN_SHARE * allowed_s))
        reason += f"; a pass takes some {pass_s * 1e3:.0f} ms here, {allowed_s * 1e3:.0f} ms there"
    return ceil(_STEPS * max(paces)) / _STEPS, reason
