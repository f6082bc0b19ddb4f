"""Device profiles as files: what is written is read, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pandas as pd
import pytest

from testbed import dnn
from testbed.dnn.devices.device_file import read_profile, write_profile
from testbed.dnn.devices.device_profile import DEVICES, device_profile
from testbed.errors import ConfigurationError
from tests.dnn.profiles import METADATA, toy_layers

HEADER = "model,layer,type,multiply_adds,input_bytes,weight_bytes,output_bytes,time_s"
PROFILE = f"""# device: toy
# framework: none
# source: a test: of colons
{HEADER}
m,a,ReLU,10,40,0,40,0.001
m,b,Convolution,1000,40,36,40,2.5e-3
"""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "toy.csv"
    first, *others = toy_layers("m")
    spread = msgspec.structs.replace(first, p10_s=1e-7, p90_s=0.1 + 0.2, runs=7, group=4)
    write_profile(path, METADATA, [spread, *others])
    assert read_profile(path) == (METADATA, (spread, *others))
    assert [each.name for each in path.parent.iterdir()] == ["toy.csv"]
    table = pd.read_csv(path, comment="#")
    assert table.time_s.tolist() == [spread.time_s, *(layer.time_s for layer in others)]


@pytest.mark.parametrize("device", DEVICES)
def test_pandas_reads_the_papers_devices(device: str) -> None:
    folder = Path(dnn.__file__).parent / "profiles" / "devices"
    table = pd.read_csv(folder / f"{device}.csv", comment="#")
    layers = device_profile(device).layers
    assert table.time_s.tolist() == [layer.time_s for layer in layers]
    assert table.layer.tolist() == [layer.layer for layer in layers]


def test_a_profile_written_by_hand(tmp_path: Path) -> None:
    """Columns in any order, more of them, none that are optional, and as Windows saves it."""
    rows = [line.split(",") for line in PROFILE.splitlines()[3:]]
    turned = "\r\n".join(",".join([*row[::-1], "note"]) for row in rows)
    text = "\r\n".join([*PROFILE.splitlines()[:3], turned, ""])
    path = tmp_path / "toy.csv"
    path.write_bytes(text.encode("utf-8-sig"))
    metadata, (relu, convolution) = read_profile(path)
    assert metadata == {"device": "toy", "framework": "none", "source": "a test: of colons"}
    assert (relu.kind, relu.multiply_adds, relu.time_s, relu.group) == ("ReLU", 10, 0.001, 1)
    assert (convolution.layer, convolution.weight_bytes) == ("b", 36)
    assert convolution.time_s == 0.0025
    assert convolution.p10_s is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2.5e-3", "fast", "line 6, column time_s: .*'fast'"),
        ("2.5e-3", "0", "line 6, column time_s: .*>= 1e-12"),
        ("2.5e-3", "1e-320", "line 6, column time_s: .*>= 1e-12"),
        ("m,b", '"m,b', "line [56].*(unexpected end of data|columns)"),
        ("time_s", "time_s,time_s", "line 4: a column stands there twice"),
        ("2.5e-3", "nan", "line 6, column time_s"),
        ("2.5e-3", "inf", "line 6, column time_s"),
        ("2.5e-3", "", "line 6.*time_s"),
        ("1000,40", "-1,40", "line 6, column multiply_adds: .*'-1'"),
        ("1000,40", "1.5,40", "line 6, column multiply_adds: .*'1.5'"),
        ("1000,40", f"{10**30},40", "line 6, column multiply_adds"),
        ("m,a", ",a", "line 5.*model"),
        ("m,b", "m,a", "line 6: layer 'a' of model 'm' stands there twice"),
        ("0.001", "0.001,3", "line 5: has more or fewer columns"),
        (",0.001", "", "line 5: has more or fewer columns"),
        ("time_s", "time_ms", "line 4: no column time_s"),
        ("# device: toy\n", "", "begins with '# device: ...'"),
        ("# device: toy", "# toy", "line 1: write '# key: value', not '# toy'"),
        (PROFILE[PROFILE.index("m,a") :], "", "holds no layers"),
        (PROFILE, "", "begins with"),
        ("toy", "t\xf6y".encode("latin1").decode("utf-8", "surrogateescape"), "no UTF-8"),
    ],
)
def test_a_malformed_profile_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in PROFILE
    path = tmp_path / "toy.csv"
    path.write_bytes(PROFILE.replace(old, new, 1).encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match=rf"toy\.csv.*{message}"):
        read_profile(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.csv: cannot be read: No such file"):
        read_profile(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("metadata", "model"),
    [
        ({"device": "toy"}, "m"),
        ({**METADATA, "device": "two\nlines"}, "m"),
        ({**METADATA, "note": "a\n# device: other"}, "m"),
        ({**METADATA, "no:te": "text"}, "m"),
        (METADATA, "a#b"),
        (METADATA, "two\nlines"),
        (METADATA, ""),
    ],
)
def test_what_could_not_be_read_again_is_not_written(
    tmp_path: Path, metadata: dict[str, str], model: str
) -> None:
    path = tmp_path / "toy.csv"
    path.write_text(PROFILE)
    with pytest.raises(ConfigurationError, match=r"toy\.csv"):
        write_profile(path, metadata, toy_layers(model))
    assert path.read_text() == PROFILE
    assert [each.name for each in tmp_path.iterdir()] == ["toy.csv"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_profile(tmp_path / "file" / "toy.csv", METADATA, toy_layers("m"))
