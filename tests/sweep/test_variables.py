"""What `--vary` says: names, values, ranges."""

from __future__ import annotations

import pytest

from testbed.errors import ConfigurationError
from testbed.sweep.variables import read_variable, read_variables


@pytest.mark.parametrize(
    ("text", "name", "path", "values"),
    [
        ("radius=50,75", "radius", "migration.radius_m", (50, 75)),
        ("migration.radius_m=50", "radius", "migration.radius_m", (50,)),
        (" policy = perdnn , ionn ", "policy", "migration.policy", ("perdnn", "ionn")),
        ("wireless.up_bps=20Mbps,35e6", "wireless.up_bps", "wireless.up_bps", (20e6, 35e6)),
        ("fraction=none,10", "fraction", "migration.fraction_mb", (None, 10)),
        ("start=busiest,60", "start", "replay.start", ("busiest", 60)),
        ("skip-bad=true,false", "skip-bad", "traces.skip_bad", (True, False)),
        ("clients=1..3", "clients", "replay.clients", (1, 2, 3)),
        ("ttl=1..10 step 3", "ttl", "migration.ttl_intervals", (1, 4, 7, 10)),
        ("ttl=9..1 step -4, 2", "ttl", "migration.ttl_intervals", (9, 5, 1, 2)),
        ("radius=0.1..0.3 step 0.1", "radius", "migration.radius_m", (0.1, 0.2, 0.3)),
        ('traces=["a,b","none",null]', "traces", "traces.path", None),
        ('traces=["a,b","2..3"]', "traces", "traces.path", ("a,b", "2..3")),
        ("traces=../a,../b", "traces", "traces.path", ("../a", "../b")),
        ('wireless.up_bps=["20Mbps",1e6]', "wireless.up_bps", "wireless.up_bps", (20e6, 1e6)),
        ("input-shape=1x3x64x64", "input-shape", "model.input_shape", ([1, 3, 64, 64],)),
        ("traces.window_m=[[0,0,1,1],null]", "window", "traces.window_m", ([0, 0, 1, 1], None)),
    ],
)
def test_values_are_read_as_the_settings_take_them(
    text: str, name: str, path: str, values: tuple[object, ...] | None
) -> None:
    if values is None:  # "none" is no value in two ways
        with pytest.raises(ConfigurationError, match="none is given 2 times"):
            read_variable(text)
        return
    variable = read_variable(text)
    assert (variable.name, variable.path, variable.values) == (name, path, values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("radius", "write --vary NAME=VALUE"),
        ("radus=50", "did you mean 'radius'"),
        ("radius=", "an empty value"),
        ("radius=50,,75", "an empty value"),
        ("radius=[]", "has no values"),
        ("radius=[50", "no list in JSON"),
        ("radius=50,50.0", "50 is given 2 times"),
        ("duration=60,1min", "60 is given 2 times"),
        ("radius=50..10", "no step leads from 50 to 10"),
        ("radius=50..60 step 0", "no step leads"),
        ("radius=0..1 step 1e-9", "1,000,000,001 values"),
        ("wireless.up_bps=20MBps", "counts bytes"),
    ],
)
def test_what_is_wrong_is_named_with_the_option(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_variable(text)
    assert said in str(refused.value)
    assert f"--vary {text}" in str(refused.value)


def test_a_setting_varies_once_whatever_it_is_called() -> None:
    with pytest.raises(ConfigurationError, match="radius: is given 2 times"):
        read_variables(["radius=50", "policy=ionn", "migration.radius_m=60"])
