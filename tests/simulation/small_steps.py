"""What `simulate` computes from event to event, done plainly in small steps of time."""

from __future__ import annotations

from testbed.simulation.exact_attachment import SimulatedAttachment
from testbed.simulation.offloading import Offloading, TimedSegment

STEP_S = 1e-4


def step_through(
    offloading: Offloading, settings: SimulatedAttachment
) -> tuple[list[tuple[float, float]], dict[int, float]]:
    """Return (raised, answered) of each query and when each layer was stored; for clients that
    have their last answer before they leave."""
    costs, size = offloading.costs, offloading.graph.weight_bytes
    groups = [list(group) for group in settings.upload]
    order = [layer for group in groups for layer in group]
    present = {layer: float(settings.present_bytes.get(layer, 0)) for layer in order}
    stored: dict[int, float] = {layer: 0.0 for layer in order if present[layer] >= size[layer]}
    arrivals = sorted(settings.arrivals)
    answers: list[tuple[float, float]] = []
    todo: list[list[object]] = []
    raised, next_s = None, settings.first_query_s
    for tick in range(int(settings.duration_s / STEP_S)):
        now = tick * STEP_S
        for time_s, layer in arrivals:
            if time_s <= now and layer not in stored:
                stored[layer] = now
        if raised is None and now >= next_s:
            raised = now
            usable = [
                layer for group in groups if all(x in stored for x in group) for layer in group
            ]
            todo = [part for step in offloading.steps(usable) for part in _parts(step)]
        sending = bool(todo) and todo[0][0] == "up"
        missing = [layer for layer in order if layer not in stored]
        both = settings.sharing == "shared" and sending and bool(missing)
        moved = costs.up_bps / 8 * STEP_S * (0.5 if both else 1.0)
        if missing:
            present[missing[0]] += moved
            if present[missing[0]] >= size[missing[0]]:
                stored[missing[0]] = now + STEP_S
        if todo:
            kind, left = todo[0]
            done = {"up": moved, "down": costs.down_bps / 8 * STEP_S, "execute": STEP_S}[str(kind)]
            todo[0][1] = float(left) - done  # type: ignore[arg-type]
            if todo[0][1] <= 0:
                todo.pop(0)
        if raised is not None and not todo:
            answers.append((raised, now + STEP_S))
            raised, next_s = None, now + STEP_S + settings.gap_s
    return answers, stored


def _parts(step: TimedSegment) -> list[list[object]]:
    parts: list[list[object]] = [["execute", step.execution_s]]
    if step.up_bytes:
        parts.insert(0, ["up", step.up_bytes])
    if step.down_bytes:
        parts.append(["down", step.down_bytes])
    return parts
