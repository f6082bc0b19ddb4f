"""Device profiles as files: the time of each layer on a device, a row a layer.

    # device: odroid-xu4
    # framework: Caffe, CPU
    # source: H.-J. Jeong et al., "IONN", ACM SoCC, 2018
    model,layer,type,group,multiply_adds,input_bytes,weight_bytes,output_bytes,time_s
    inception,conv_conv1,Convolution,1,177020928,602112,56832,4816896,0.14897

UTF-8 text. First come lines `# key: value`, of which `device`, `framework` and `source` must be
there; then comma-separated columns under a line of their names, in any order. `ProfiledLayer` says
what they mean; `group`, `p10_s`, `p90_s` and `runs` may be left out or empty, and other columns are
ignored. `pandas.read_csv(FILE, comment="#")` reads the table.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from testbed.dnn.devices.layer_times import LayerWork
from testbed.errors import ConfigurationError
from testbed.runs.whole_files import written_whole
from testbed.settings.section import refused_place

REQUIRED_METADATA = ("device", "framework", "source")

Text = Annotated[str, Meta(min_length=1, pattern="^[^#\r\n]*$")]
Count = Annotated[int, Meta(ge=0, le=2**62)]
Positive = Annotated[int, Meta(ge=1, le=2**62)]
Seconds = Annotated[float, Meta(ge=1e-12, le=86_400)]


class ProfiledLayer(msgspec.Struct, frozen=True, kw_only=True, rename={"kind": "type"}):
    """A layer that was timed; fields are the columns, `kind` is the column `type`.

    `kind` is Caffe's name of the layer's type where it has one, `group` the number of groups of a
    convolution's channels. `time_s` is the time on the idle device, a batch of one, with the 10th
    and 90th percentile of `runs` executions where they are known.
    """

    model: Text
    layer: Text
    kind: Text
    group: Positive = 1
    multiply_adds: Count
    input_bytes: Count
    weight_bytes: Count
    output_bytes: Count
    time_s: Seconds
    p10_s: Seconds | None = None
    p90_s: Seconds | None = None
    runs: Positive | None = None

    @property
    def work(self) -> LayerWork:
        """What the time depends on."""
        return msgspec.convert(self, LayerWork, from_attributes=True)


COLUMNS = ProfiledLayer.__struct_encode_fields__
REQUIRED_COLUMNS = tuple(
    field.encode_name for field in msgspec.structs.fields(ProfiledLayer) if field.required
)


def read_profile(path: Path) -> tuple[dict[str, str], tuple[ProfiledLayer, ...]]:
    """Return a profile's metadata and layers.

    Raises ConfigurationError, with file, line and column, if it cannot be read or is no profile.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is no UTF-8 text: {error}") from error
    return _parse(path, text)


def write_profile(path: Path, metadata: Mapping[str, str], layers: Sequence[ProfiledLayer]) -> None:
    """Write a profile that `read_profile` returns unchanged; the file is there whole or not at all.

    Raises ConfigurationError if the file cannot be written, or a name cannot stand in it.
    """
    text = io.StringIO()
    text.writelines(f"# {key}: {value}\n" for key, value in metadata.items())
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(msgspec.to_builtins(layer) for layer in layers)
    if _parse(path, text.getvalue()) != (dict(metadata), tuple(layers)):
        raise ConfigurationError(f"{path}: metadata must be of one line each: {dict(metadata)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            file.write_text(text.getvalue(), "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from error


def _parse(path: Path, text: str) -> tuple[dict[str, str], tuple[ProfiledLayer, ...]]:
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    metadata = _metadata(path, lines[:start])
    reader = csv.DictReader(lines[start:], strict=True)
    try:
        return metadata, _layers(path, start, reader)
    except csv.Error as error:
        raise ConfigurationError(f"{path}, line {start + reader.line_num}: {error}") from error


def _layers(path: Path, start: int, reader: csv.DictReader[str]) -> tuple[ProfiledLayer, ...]:
    """Read the layers of a file whose line of names is number `start`, counted from 0."""
    names = list(reader.fieldnames or ())
    if missing := [name for name in REQUIRED_COLUMNS if name not in names]:
        raise ConfigurationError(f"{path}, line {start + 1}: no column {', '.join(missing)}")
    if len(set(names)) < len(names):
        raise ConfigurationError(f"{path}, line {start + 1}: a column stands there twice")
    layers: dict[tuple[str, str], ProfiledLayer] = {}
    for row in reader:
        place = f"{path}, line {start + reader.line_num}"
        layer = _layer(place, row)
        if layers.setdefault((layer.model, layer.layer), layer) is not layer:
            raise ConfigurationError(
                f"{place}: layer {layer.layer!r} of model {layer.model!r} stands there twice"
            )
    if not layers:
        raise ConfigurationError(f"{path}: holds no layers")
    return tuple(layers.values())


def _metadata(path: Path, lines: Iterable[str]) -> dict[str, str]:
    found = {}
    for number, line in enumerate(lines, 1):
        key, colon, value = line.removeprefix("#").partition(":")
        if not (colon and key.strip() and value.strip()):
            raise ConfigurationError(f"{path}, line {number}: write '# key: value', not {line!r}")
        found[key.strip()] = value.strip()
    missing = [key for key in REQUIRED_METADATA if key not in found]
    if missing:
        lines_missing = " and ".join(f"'# {key}: ...'" for key in missing)
        raise ConfigurationError(f"{path}: a device profile begins with {lines_missing}")
    return found


def _layer(place: str, row: Mapping[str | None, str | None]) -> ProfiledLayer:
    if None in row or None in row.values():
        raise ConfigurationError(f"{place}: has more or fewer columns than the line of names")
    try:
        return msgspec.convert(
            {name: value for name, value in row.items() if value}, ProfiledLayer, strict=False
        )
    except msgspec.ValidationError as error:
        column, message = refused_place(error)
        got = f", got {row[column]!r}" if column in row else ""
        named = f", column {column}" if column else ""
        raise ConfigurationError(f"{place}{named}: {message.replace('`', '')}{got}") from error
