"""SUMO's floating car data, written by hand."""

from __future__ import annotations


def fcd(*steps: str, comment: str = "") -> str:
    return (
        f'<?xml version="1.0"?>\n{comment}<fcd-export>\n' + "\n".join(steps) + "\n</fcd-export>\n"
    )


def at(time_s: float, *movers: str) -> str:
    return f'<timestep time="{time_s:.2f}">' + "".join(movers) + "</timestep>"


def mover(identity: str, x: float, y: float, kind: str = "vehicle") -> str:
    return f'<{kind} id="{identity}" x="{x}" y="{y}" angle="90" type="any" speed="1"/>'
