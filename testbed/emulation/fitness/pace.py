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
from testbed.dnn.devices.device_profile import device_profile
from testbed.emulation.fitness.capacity import need
from testbed.errors import ConfigurationError
from testbed.settings.experiment import Experiment
from testbed.simulation.offloading import layer_graph

_MARGIN_SHARE = 0.5  # of the processors' time that is left, which a run may need
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

    Raises ConfigurationError where every query is to be computed in time: only a measured pass
    tells what that takes.
    """
    if settings.compute.mode == "real":
        raise ConfigurationError(
            "compute.tdf: with --compute real, name a dilation (--tdf 8); a run with --compute auto"
            " says at its start which would do"
        )
    graph = layer_graph(settings.model)
    server_s = float(device_profile(settings.model.server_device).layer_times(graph).sum())
    model = ModelMeasure(pass_s=0.0, client_s=0.0, server_s=server_s, weight_bytes=0, memo_bytes=0)
    wanted = need(settings.at_pace(1.0), access_points, "memo", model).processors
    tdf = max(1.0, ceil(_STEPS * wanted / (_MARGIN_SHARE * free)) / _STEPS)
    reason = (
        f"at its worst moment the run needs {wanted:.1f} processors undilated, {free:.1f} are free,"
        f" and half of them keep its times"
    )
    return tdf, reason
