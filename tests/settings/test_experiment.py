"""Settings: what is taken, what is refused, and that every one is documented."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import ConfigurationError
from testbed.settings.experiment import (
    Experiment,
    from_dict,
    override,
    parse_value,
    settings,
    to_dict,
)

DEFAULT = Experiment(name="test")


def changed(path: str, value: object) -> Experiment:
    values = to_dict(DEFAULT)
    override(values, path, value)
    return from_dict(values)


def test_an_experiment_survives_being_written_and_read_as_json() -> None:
    given = changed("migration.crowded", ["ap3", "ap1"])
    assert from_dict(msgspec.json.decode(msgspec.json.encode(to_dict(given)))) == given


def test_defaults_are_the_papers() -> None:
    assert (DEFAULT.wireless.down_bps, DEFAULT.wireless.up_bps) == (50e6, 35e6)
    assert (DEFAULT.migration.radius_m, DEFAULT.migration.ttl_intervals) == (50, 5)
    assert (DEFAULT.model.query_gap_s, DEFAULT.traces.cell_circumradius_m) == (0.5, 50)


def test_missing_sections_have_their_defaults() -> None:
    assert from_dict({"name": "test"}) == DEFAULT


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("migration.radius_m", -1),
        ("migration.radius_m", 0),
        ("migration.radius_m", float("nan")),
        ("migration.radius_m", float("inf")),
        ("migration.radius_m", 1e308),
        ("migration.radius_m", "far"),
        ("name", "../.."),
        ("name", ".hidden"),
        ("name", ""),
        ("migration.ttl_intervals", 0),
        ("migration.ttl_intervals", 2.5),
        ("migration.fraction_mb", 0),
        ("replay.clients", 0),
        ("replay.clients", True),
        ("replay.start", "soon"),
        ("replay.duration_s", "some"),
        ("wireless.up_bps", 0),
        ("compute.mode", "fast"),
        ("compute.tdf", 0.5),
        ("compute.verify_share", 1.5),
        ("model.input_shape", "1x3"),
        ("traces.window_m", [0, 0, 1]),
        ("traces.window_m", [0, 0, 0, 10]),
        ("traces.window_deg", [40, 116, 39, 117]),
        ("traces.format", "shapefile"),
        ("traces.skip_bad", "yes"),
        ("traces.backwards", "keep"),
        ("traces.duplicates", "refuse"),
        ("traces.gap_s", 0),
        ("traces.min_duration_s", -1),
        ("traces.interval_s", 0),
        ("traces.between_samples", "spline"),
        ("traces.test_segments", 0),
        ("traces.path", 5),
        ("engine", "dream"),
        ("seed", -1),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_the_settings_path(path: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=path):
        changed(path, value)


def test_one_window_is_enough() -> None:
    values = to_dict(changed("traces.window_m", [0, 0, 10, 10]))
    override(values, "traces.window_deg", [39, 116, 40, 117])
    with pytest.raises(ConfigurationError, match=r"traces\.window_m or traces\.window_deg"):
        from_dict(values)


def test_an_unknown_section_or_setting_of_a_file_is_refused() -> None:
    for values in ({"weather": {}}, {"migration": {"raduis_m": 5}}):
        with pytest.raises(ConfigurationError, match=r"weather|raduis_m"):
            from_dict({"name": "test", **values})


def test_an_unknown_path_gets_a_suggestion() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean 'migration\.radius_m'"):
        override({}, "migration.raduis_m", 5)


def test_a_section_is_no_setting() -> None:
    with pytest.raises(ConfigurationError, match="unknown setting 'migration'"):
        override({}, "migration", {})


def test_every_setting_says_what_it_means() -> None:
    for path, field in settings():
        described = getattr(field.type, "extra_json_schema", None) or {}
        assert path == "name" or described.get("description"), path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("2e7", 2e7),
        ("true", True),
        ("null", None),
        ('["ap1"]', ["ap1"]),
        ("perdnn", "perdnn"),
        ("NaN", "NaN"),
        ("", ""),
    ],
)
def test_values_are_json_where_they_are_json_and_text_elsewhere(text: str, value: object) -> None:
    assert parse_value(text) == value


MOVED = {"offer_probability": 0.05, "keep_probability": 0.005, "capacity_bps": 1e8}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("perdnn", {}),  # it never looked at them
        ("visits", {"offer_probability": 0.05, "keep_probability": 0.005}),
        ("benefit", {"keep_probability": 0.005, "capacity_bps": 1e8, "least_benefit": 0.01}),
        ("mine:Own", {"least_benefit": 0.01}),  # the others have their defaults
    ],
)
def test_a_config_of_before_policies_had_settings_of_their_own_is_read(
    policy: str, expected: dict[str, float]
) -> None:
    migration = MOVED | {"policy": policy, "least_benefit": 0.01}
    read = from_dict({"name": "x", "migration": migration})
    assert (read.policy, read.migration.policy) == (expected, policy)


def test_a_setting_under_both_its_names_has_one_value() -> None:
    values = {"name": "x", "migration": {"policy": "visits", "offer_probability": 0.3}}
    assert from_dict(values | {"policy": {"offer_probability": 0.3}}).policy
    with pytest.raises(ConfigurationError, match=r"is policy\.offer_probability now"):
        from_dict(values | {"policy": {"offer_probability": 0.2}})


def test_the_paths_of_before_still_lead_to_the_settings() -> None:
    assert changed("migration.least_benefit", 0.02).policy == {"least_benefit": 0.02}
