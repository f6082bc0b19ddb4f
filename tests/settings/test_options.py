"""Settings as options of a command: what is read, and what --help says."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import launch
from testbed.errors import ConfigurationError
from testbed.settings.experiment import settings
from testbed.settings.options import OPTIONS
from tests.command_line import EXPERIMENT, parsed, run


def test_options_change_their_settings() -> None:
    given = parsed(
        *("--start", "120", "--duration", "5min", "--input-shape", "1x1x28x28"),
        *("--radius", "100", "--fraction", "43", "--retain-uploads", "--tdf", "8"),
    )
    assert (given.replay.start, given.replay.duration_s) == (120, 300)
    assert given.model.input_shape == (1, 1, 28, 28)
    assert (given.migration.radius_m, given.migration.fraction_mb) == (100, 43)
    assert (given.migration.retain_uploads, given.compute.tdf) == (True, 8)


@pytest.mark.parametrize(
    ("assignment", "section", "name", "value"),
    [
        ("wireless.up_bps=20Mbps", "wireless", "up_bps", 20e6),
        ("wireless.up_bps=20e6", "wireless", "up_bps", 20e6),
        ("wireless.queue_bytes=128kB", "wireless", "queue_bytes", 128_000),
        ("wireless.association_delay_s=20ms", "wireless", "association_delay_s", 0.02),
        ("backhaul.link_bps=none", "backhaul", "link_bps", None),
        ("traces.path=2024", "traces", "path", "2024"),
        ("traces.path=null", "traces", "path", None),
        ("traces.window_m=[0,0,10,20]", "traces", "window_m", (0, 0, 10, 20)),
        ('migration.crowded=["ap1","ap2"]', "migration", "crowded", ("ap1", "ap2")),
        ("migration.retain_uploads=true", "migration", "retain_uploads", True),
        ("replay.start=busiest", "replay", "start", "busiest"),
    ],
)
def test_set_takes_json_quantities_and_text(
    assignment: str, section: str, name: str, value: object
) -> None:
    assert getattr(getattr(parsed("--set", assignment), section), name) == value


def test_set_may_be_repeated_and_the_last_one_counts() -> None:
    given = parsed("--radius", "60", "--set", "migration.radius_m=70", "--set", "seed=4")
    assert (given.migration.radius_m, given.seed) == (70, 4)


def test_a_hybrid_backhaul_has_servers_on_fibre_and_a_rate_for_the_others(tmp_path: Path) -> None:
    (tmp_path / "servers.txt").write_text("ap3\nap17\n")
    given = parsed(
        "--fibre", str(tmp_path / "servers.txt"), "--set", "backhaul.wireless_bps=100Mbps"
    )
    assert given.backhaul.fibre == ("ap3", "ap17")
    assert given.backhaul.wireless_links(["ap3", "ap4"]) == {"ap4": 100e6}
    assert parsed().backhaul.wireless_links(["ap3", "ap4"]) == {}


def test_crowded_servers_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "servers.txt").write_text("ap3\nap17\n")
    given = parsed("--crowded", str(tmp_path / "servers.txt"))
    assert given.migration.crowded == ("ap3", "ap17")


def test_a_file_that_names_no_crowded_server_is_refused(tmp_path: Path) -> None:
    (tmp_path / "servers.txt").write_text("\n")
    with pytest.raises(ConfigurationError, match="names no servers"):
        parsed("--crowded", str(tmp_path / "servers.txt"))


def test_help_lists_every_setting_with_type_unit_and_default() -> None:
    shown = run("--help")
    text = " ".join(shown.stdout.split())
    assert (shown.returncode, shown.stderr) == (0, "")
    for path, _ in settings():
        assert path in text or path in {each for each, _ in OPTIONS.values()}, path
    for option in OPTIONS:
        assert f"{option} " in text
    assert "get layers (number above 0 to 10000000, m; default: 100)" in text
    assert "(integer from 1 to 200; default: 8)" in text
    assert "(number above 0, bit/s; default: 50000000)" in text
    assert "default: 1x3x224x224" in text
    assert "(auto, memo, profile or real; default: auto)" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--radius", "-1"), r"^--radius: migration\.radius_m: "),
        (("--clients", "many"), r"^--clients: replay\.clients: "),
        (("--start", "noon"), r"^--start: replay\.start: "),
        (("--duration", "5parsecs"), r"^--duration: replay\.duration_s: '5parsecs'"),
        (("--set", "migration.radius_m=-1"), r"^migration\.radius_m: "),
        (("--set", "wireless.up_bps=fast"), r"^wireless\.up_bps: 'fast'"),
    ],
)
def test_an_error_names_the_option_that_gave_the_value(
    arguments: tuple[str, str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parsed(*arguments)


def test_an_option_that_was_not_given_is_not_blamed() -> None:
    with pytest.raises(ConfigurationError, match=r"^migration\.radius_m: "):
        parsed("--clients", "3", "--set", "migration.radius_m=-1")


def test_help_lists_the_own_settings_of_policies_and_predictors() -> None:
    text = " ".join(launch.parser(EXPERIMENT).format_help().split())
    for kind, name, setting in (
        ("policy", "visits", "policy.offer_probability"),
        ("policy", "visits", "policy.keep_probability"),
        ("policy", "benefit", "policy.keep_probability"),
        ("policy", "benefit", "policy.least_benefit"),
        ("policy", "benefit", "policy.capacity_bps"),
        ("predictor", "rnn", "predictor.units"),
    ):
        _, _, behind = text.partition(f"settings of {kind} {name}, for --set:")
        assert setting in behind.partition("settings of ")[0], setting
    assert "settings of policy ionn" not in text  # it has none
    assert "get layers (number above 0 to 1; default: 0.05)" in text


def test_own_settings_are_set_by_their_paths() -> None:
    visits = ("--policy", "visits", "--set", "policy.offer_probability=0.2")
    assert parsed(*visits).policy == {"offer_probability": 0.2}
    earlier = ("--policy", "visits", "--set", "migration.offer_probability=0.2")
    assert parsed(*earlier) == parsed(*visits)
