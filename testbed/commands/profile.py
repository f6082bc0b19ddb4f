"""`testbed profile`: measures a model's layers on this machine, or shows a device's profile."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.commands.plan import parse_shape
from testbed.errors import EXIT_COMPLETE, ConfigurationError
from testbed.output import add_json, print_json
from testbed.terminal import print_table

if TYPE_CHECKING:
    from testbed.dnn.devices.measuring import Measurement

HELP = "measure a model's layers on this machine, or show a device's profile"

_SLOWEST = 12  # layers that are printed
_LOOK_S, _IDLE_SHARE = 0.5, 0.1  # how long the processors are looked at, what is idle enough
_BUSY = 1.5  # the slow passes over the fast ones, from which the machine was not idle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--device", metavar="NAME", help="what this machine is to be called, such as this-machine"
    )
    what.add_argument(
        "--show",
        metavar="DEVICE",
        help="print what is known of a device, and the cross-validated error of estimated times",
    )
    parser.add_argument(
        "--model", help="inception, mobilenet, resnet or package.module:factory", metavar="MODEL"
    )
    parser.add_argument(
        "--input-shape",
        default="1x3x224x224",
        metavar="NxCxHxW",
        help="shape of the query's input (default: %(default)s)",
    )
    parser.add_argument(
        "--runs", type=int, metavar="N", help="timed passes (default: some seconds of them)"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads on the processors (default: PyTorch's)"
    )
    parser.add_argument(
        "--accelerator",
        choices=("cpu", "cuda"),
        default="cpu",
        help="what executes the layers (default: %(default)s)",
    )
    parser.add_argument(
        "--contention",
        action="store_true",
        help="measure too how clients slow each other down, for two minutes: the master plans for"
        " the load of edge servers that this machine's GPU times",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.csv",
        help="profile to write or to add to (default: results/devices/NAME.csv)",
    )
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Measure and write a profile, or show one."""
    if given.show is not None:
        for option in ("model", "runs", "threads", "out", "contention"):
            if getattr(given, option):
                raise ConfigurationError(f"--{option} goes with --device, not with --show")
        content = describe(given.show)
        print_json(content) if given.json else _print_profile(content)
    else:
        content = _measure(given)
        print_json(content) if given.json else _print_measured(content)
    return EXIT_COMPLETE


def describe(device: str) -> dict[str, Any]:
    """Return what is known of a device, ready for JSON: times in seconds, errors as shares.

    Raises ConfigurationError: no such device.
    """
    from testbed.dnn.devices.cross_validation import FOLDS, errors_by, k_fold, leave_one_model_out
    from testbed.dnn.devices.device_profile import device_profile

    profile = device_profile(device)
    layers = profile.layers
    by = {
        "all": ["all"] * len(layers),
        "model": [layer.model for layer in layers],
        "type": [layer.kind for layer in layers],
    }
    methods = {
        "leave one model out": leave_one_model_out(layers),
        f"{FOLDS}-fold over layers": k_fold(layers),
    }
    errors = [
        {"method": method, "by": each, "group": group}
        | {**asdict(error), "sum_relative": error.sum_relative}
        for method, estimated_s in methods.items()
        for each, groups in by.items()
        for group, error in errors_by(groups, layers, estimated_s).items()
    ]
    models = [
        {"model": model, "layers": len(own), "sum_s": sum(layer.time_s for layer in own)}
        for model, own in profile.models.items()
    ]
    return {"metadata": profile.metadata, "models": models, "estimation_errors": errors}


def _measure(given: argparse.Namespace) -> dict[str, Any]:
    from testbed.dnn.devices.device_file import write_profile
    from testbed.dnn.devices.device_profile import with_measured

    path = _path(given)
    for option in ("runs", "threads"):
        count = getattr(given, option)
        if count is not None and count < 1:
            raise ConfigurationError(f"--{option} {count}: must be at least 1")
    processors = len(os.sched_getaffinity(0))
    if given.threads is not None and given.threads > processors:
        raise ConfigurationError(f"--threads {given.threads}: there are {processors} processors")
    shape = parse_shape(given.input_shape)
    from testbed.dnn.devices.measuring import machine, measure

    metadata = machine(given.device, given.accelerator, given.threads)
    with_measured(path, metadata, ())  # refused before it is measured
    _warn_of_other_work()
    measurement = measure(
        given.model,
        input_shape=shape,
        runs=given.runs,
        threads=given.threads,
        accelerator=given.accelerator,
        say=_say,
    )
    profile = with_measured(path, metadata, measurement.layers)
    write_profile(path, profile.metadata, profile.layers)
    content = {"file": str(path), **metadata, "model": given.model, **_summary(measurement)}
    if given.contention:
        from testbed.gpu.contention.contention_file import measure_contention

        file, queries = measure_contention(path, given.model, given.accelerator, _say)
        content |= {"contention": str(file), "contention_queries": queries}
    return content


def _warn_of_other_work() -> None:
    """Look at the processors for a moment, before this process uses them itself."""
    import psutil

    busy_share = psutil.cpu_percent(_LOOK_S) / 100
    if busy_share > _IDLE_SHARE:
        _say(
            f"the processors are {busy_share:.0%} busy with other work: the times will be too long;"
            " measure again when they are idle"
        )


def _path(given: argparse.Namespace) -> Path:
    """Return where the profile goes; ConfigurationError if it may not go there."""
    from testbed.dnn.devices.device_profile import DEVICES, measured_path

    if given.model is None:
        raise ConfigurationError("--model is required with --device")
    path = measured_path(given.device)
    if path is None:
        raise ConfigurationError(
            f"--device {given.device}: give this machine a name of letters, digits, '.', '-' and "
            f"'_' that does not end with .csv and is none of {', '.join(DEVICES)}"
        )
    if given.out is not None and given.out.suffix != ".csv":
        raise ConfigurationError(f"--out {given.out}: must end with .csv")
    return given.out if given.out is not None else path


def _summary(measurement: Measurement) -> dict[str, Any]:
    import numpy as np

    pass_s, marked_pass_s = np.median(measurement.pass_s), np.median(measurement.marked_pass_s)
    fast_s, slow_s = np.percentile(measurement.pass_s, (10, 90))
    slowest = sorted(measurement.layers, key=lambda layer: layer.time_s, reverse=True)[:_SLOWEST]
    if slow_s > _BUSY * fast_s:
        _say(
            f"passes took {fast_s * 1e3:.1f} to {slow_s * 1e3:.1f} ms (10th and 90th percentile): "
            "this machine had other work, and the times are too long; measure again when it is idle"
        )
    return {
        "runs": len(measurement.pass_s),
        "layers": len(measurement.layers),
        "sum_s": measurement.sum_s,
        "pass_s": float(pass_s),
        "pass_p10_s": float(fast_s),
        "pass_p90_s": float(slow_s),
        "marked_pass_s": float(marked_pass_s),
        "marking_overhead": min(measurement.marked_pass_s) / min(measurement.pass_s) - 1,
        "slowest": [
            {
                "layer": layer.layer,
                "type": layer.kind,
                "time_s": layer.time_s,
                "p10_s": layer.p10_s,
                "p90_s": layer.p90_s,
            }
            for layer in slowest
        ],
    }


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _print_measured(content: dict[str, Any]) -> None:
    print_table(
        ("layer", "type", "ms", "p10", "p90", "share"),
        [
            (
                each["layer"],
                each["type"],
                *(each[name] * 1e3 for name in ("time_s", "p10_s", "p90_s")),
                f"{each['time_s'] / content['sum_s']:.1%}",
            )
            for each in content["slowest"]
        ],
        title=f"slowest layers of {content['model']}, medians",
    )
    rows = [
        (f"sum of the {content['layers']} layers' medians", _ms(content["sum_s"])),
        ("a pass timed by layer, median", _ms(content["marked_pass_s"])),
        (
            "a pass not timed by layer, median",
            f"{_ms(content['pass_s'])} ({_ms(content['pass_p10_s'])} to "
            f"{_ms(content['pass_p90_s'])}, 10th to 90th percentile)",
        ),
        ("what timing by layer adds", f"{content['marking_overhead']:+.1%}"),
        ("runs", content["runs"]),
        ("threads", content["threads"]),
        ("framework", content["framework"]),
        ("processor", content["processor"]),
        ("file", content["file"]),
    ]
    if "contention" in content:
        rows.append(
            ("under load", f"{content['contention']}, {content['contention_queries']} queries")
        )
    print_table(("", ""), rows, title="\npasses")


def _print_profile(content: dict[str, Any]) -> None:
    print_table(("", ""), list(content["metadata"].items()))
    print_table(
        ("model", "layers", "sum"),
        [(each["model"], each["layers"], _ms(each["sum_s"])) for each in content["models"]],
        title="\nmeasured",
    )
    errors = content["estimation_errors"]
    if not errors:
        print_table(("",), [("too few layers to estimate others from",)], title="\nestimates")
    for method in dict.fromkeys(error["method"] for error in errors):
        print_table(
            ("of", "layers", "measured", "estimated", "MAE", "relative", "of the sum"),
            [
                (
                    error["group"],
                    error["layers"],
                    _ms(error["measured_s"]),
                    _ms(error["estimated_s"]),
                    _ms(error["mae_s"]),
                    f"{error['relative']:.1%}",
                    f"{error['sum_relative']:+.1%}",
                )
                for error in errors
                if error["method"] == method
            ],
            title=f"\nerror of estimated times, {method}",
        )


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.4g} ms" if seconds < 1 else f"{seconds * 1e3:,.0f} ms"
