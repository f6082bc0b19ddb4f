"""Checks of an experiment's settings, before anything is created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from testbed.dnn.graph import LayerGraph
from testbed.errors import ConfigurationError, unknown_name
from testbed.runs.folder import RunFolder
from testbed.settings.engines import Precision
from testbed.settings.experiment import Experiment, Model
from testbed.settings.offloads import Server

if TYPE_CHECKING:
    from testbed.dnn.captured_model import CapturedModel

_MOST_REST_BYTES = 1_000_000_000  # of an image, beside the model
_LEAST_BPS, _MAX_BPS = 8e3, 1e12


def check(experiment: Experiment, out: Path | None = None) -> Experiment:
    """Check every name in the settings and the run's folder, before anything is created.

    Returns the experiment with every setting of its policy and predictor.

    Raises ConfigurationError: something named does not exist or cannot be used.
    """
    from controllers.named import find_controller
    from testbed.decision.policies import resolved
    from testbed.dnn.devices.device_profile import device_profile
    from testbed.emulation.spread.machines import parse_all
    from topologies.layout import BUILT_IN, check_name, layout_of
    from traces.loading import check_exists

    _check_engine(experiment)
    _check_images(experiment)
    if experiment.traces.path is not None:
        check_exists(Path(experiment.traces.path))
    experiment = resolved(experiment)
    find_controller(experiment.backhaul.controller)
    parse_all(experiment.compute.machines)
    device_profile(experiment.model.client_device)
    device_profile(experiment.model.server_device)
    topology = experiment.backhaul.topology
    check_name(topology)
    if topology not in BUILT_IN:
        layout = layout_of(topology, ["ap1", "ap2"])
        if experiment.engine == "simulate" and experiment.backhaul.delay_s is None:
            _check_undelayed(details for *_, details in layout.cables)
    if out is not None and out.exists():
        RunFolder.at(out)
    emulated = experiment.engine == "emulate"
    precision = experiment.compute.precision if emulated else "float32"
    graph = _check_model(experiment.model, precision)
    if experiment.server.estimator != Server().estimator:
        from testbed.gpu.estimation.layer_by_layer import check_learnable

        check_learnable(graph, device_profile(experiment.model.server_device))
    return experiment


def beside_obstacle(experiment: Experiment) -> str | None:
    """Return why an emulated run cannot be simulated too; None if it can."""
    try:
        check(replace(experiment, engine="simulate"))
    except ConfigurationError as error:
        return str(error)
    return None


def _check_engine(experiment: Experiment) -> None:
    controller = experiment.backhaul.controller
    if experiment.engine == "emulate" and experiment.replay.duration_s == "all":
        raise ConfigurationError(
            "replay.duration_s: an emulation needs a window; give its length, such as 300 or 5min"
        )
    if experiment.engine == "simulate" and experiment.wireless.association != "nearest":
        raise ConfigurationError(
            "wireless.association: where servers are chosen by their load, only an emulation can"
        )
    if experiment.engine == "simulate" and experiment.server.estimator != Server().estimator:
        raise ConfigurationError(
            "server.estimator: the simulator's servers have their devices' times whatever their"
            " load, so it would change nothing; emulate, or leave it"
        )
    if experiment.backhaul.fibre and experiment.backhaul.wireless_bps is None:
        raise ConfigurationError(
            "backhaul.fibre: only a hybrid backhaul has fibre at some of its access points; give"
            " backhaul.wireless_bps, the rate of the others, such as 100Mbps"
        )
    if experiment.engine == "simulate" and experiment.backhaul.migration_class != "same":
        raise ConfigurationError(
            "backhaul.migration_class: the simulator's links have one class; emulate, or leave it"
        )
    if experiment.engine == "simulate" and experiment.wireless.airtime != "separate":
        raise ConfigurationError(
            "wireless.airtime: the simulator gives each client its own rates; emulate, or leave it"
        )
    delayed = [name for name in ("wireless", "backhaul") if getattr(experiment, name).delay_s]
    if experiment.engine == "simulate" and delayed:
        raise ConfigurationError(
            f"{delayed[0]}.delay_s: the simulator's links have no propagation delay; emulate, or"
            " leave it"
        )
    limited = experiment.simulation.backhaul == "limited"
    if experiment.engine == "simulate" and limited and controller != "shortest_path":
        raise ConfigurationError(
            "backhaul.controller: the simulator knows the paths of shortest_path alone; set"
            " simulation.backhaul=unlimited, or emulate"
        )


def _check_images(experiment: Experiment) -> None:
    from testbed.decision.policies import build_policy

    image = build_policy(experiment).image(0.0, None)
    if image is None or experiment.engine != "emulate":
        return
    if not 0 <= image.size_bytes <= _MOST_REST_BYTES:
        raise ConfigurationError(
            f"migration.policy: images of {image.size_bytes / 1e6:g} MB beside the model; an"
            f" emulation keeps that in memory, and takes 0 to {_MOST_REST_BYTES / 1e6:g} MB"
            " (policy.image_mb), a simulation any"
        )


def check_rates(experiment: Experiment) -> None:
    """Raise ConfigurationError for a rate that cannot be shaped.

    What is shaped has whole bits a second, and the kernel counts them in 64 bits.
    """
    wireless, tdf = experiment.wireless, experiment.compute.dilation
    rates_bps = {
        "wireless.up_bps": wireless.up_bps,
        "wireless.down_bps": wireless.down_bps,
        "backhaul.link_bps": experiment.backhaul.link_bps,
        "backhaul.wireless_bps": experiment.backhaul.wireless_bps,
    }
    for name, rate_bps in rates_bps.items():
        if rate_bps is not None and not _LEAST_BPS <= rate_bps / tdf <= _MAX_BPS:
            raise ConfigurationError(
                f"{name}: {rate_bps:g} bit/s, at compute.tdf {tdf:g}, cannot be shaped; from"
                f" {_LEAST_BPS:g} to {_MAX_BPS:g} bit/s of wall time can"
            )


def _check_undelayed(links: Iterable[Mapping[str, Any]]) -> None:
    from topologies.layout import topology_delay_s

    if any(topology_delay_s(details) for details in links):
        raise ConfigurationError(
            "backhaul.topology: it has links with a delay, which the simulator does not know;"
            " emulate, or set backhaul.delay_s=0"
        )


@cache  # the configurations of a sweep share few models, and capturing one takes seconds
def _check_model(model: Model, precision: Precision) -> LayerGraph:
    """Return the model's layers."""
    from testbed.dnn.camera import photographs
    from testbed.dnn.models.published import MODELS, published_graph
    from testbed.dnn.partitioning.planners import layer_index, planner_of

    planner_of(model)
    if model.frames is not None:
        photographs(model.frames)
    name = model.name
    if any(size < 1 for size in model.input_shape):
        raise ConfigurationError(
            f"model.input_shape: {model.input_shape} must have sizes of at least 1"
        )
    if name in MODELS:
        if model.static_cut is not None:
            layer_index(published_graph(name), model.static_cut)
        return published_graph(name)
    if ":" not in name:
        raise ConfigurationError(
            unknown_name("model", name, MODELS) + ", or package.module:factory"
        )
    from testbed.dnn.graph_capture import capture
    from testbed.dnn.models.factory import build_model

    module, examples = build_model(name, 0, model.input_shape)  # weights: verified
    captured = capture(module, examples, name)
    if model.static_cut is not None:
        layer_index(captured.graph, model.static_cut)
    if precision != "float32":
        _check_precision(captured, examples, precision)
    return captured.graph


def _check_precision(
    captured: CapturedModel, examples: Sequence[Any], precision: Precision
) -> None:
    from testbed.dnn.placed_executor import PlacedExecutor
    from testbed.dnn.target import Target

    try:
        PlacedExecutor(captured, Target("cpu", precision)).query(*examples)
    except RuntimeError as error:
        raise ConfigurationError(
            f"compute.precision: {captured.graph.model} cannot be executed in {precision}:"
            f" {str(error).partition(chr(10))[0]}; set compute.precision=float32"
        ) from error


def check_servers(experiment: Experiment, known: set[str]) -> None:
    """Raise ConfigurationError for a setting that names a server which is not among these."""
    for setting, names in (
        ("migration.crowded", experiment.migration.crowded),
        ("backhaul.fibre", experiment.backhaul.fibre),
    ):
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    f"{setting}: there is no server {name!r} among the {len(known)} of these"
                    " traces; take a run of the same traces and cells"
                )
