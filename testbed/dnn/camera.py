"""What a client's camera sees: frames that pan over a photograph, different from query to query.

The photographs are those that scikit-learn ships, or the images of a folder of the user's. A model
whose input is no image is asked about random numbers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from testbed.dnn.graph import TensorSpec
from testbed.errors import ConfigurationError

_ROOM = 1.5  # shorter side of a photograph, of the frame's longer one
_STEP_SHARE = 1 / 16  # of the frame: how far the camera turns from one query to the next
_CHANNELS = {1: "L", 3: "RGB"}  # of a frame: Pillow's name of the mode
_DATA_SETS = "sklearn"  # whose data sets would take two seconds to import


class Camera:
    """Turns at a steady pace over one of the `photographs`, both drawn by `seed`.

    Frames have `shape`, (1, channels, height, width), and values from 0 to 1.
    """

    def __init__(self, photographs: Sequence[Path], shape: Sequence[int], seed: int) -> None:
        _, channels, self._height, self._width = shape
        random = np.random.default_rng(seed)
        path = photographs[int(random.integers(len(photographs)))]
        self._view = _scaled(path, _CHANNELS[channels], _ROOM * max(self._height, self._width))
        self._start = random.random(2)
        angle = random.uniform(0.0, 2.0 * np.pi)
        step = _STEP_SHARE * max(self._height, self._width)
        self._step = step * np.array([np.sin(angle), np.cos(angle)])

    def frame(self, number: int) -> Tensor:
        """Return the frame of a number, from 0; the camera turns back at a photograph's edge."""
        room = np.array(self._view.shape[:2]) - (self._height, self._width)
        there = self._start * room + number * self._step
        y, x = np.rint(room - np.abs(np.mod(there, 2 * np.maximum(room, 1)) - room)).astype(int)
        seen = self._view[y : y + self._height, x : x + self._width]
        pixels = torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)))
        return (pixels.to(torch.float32) / 255.0)[None]


def takes_frames(inputs: Sequence[TensorSpec]) -> bool:
    """Return whether a model's input is an image, grey or in colour."""
    if len(inputs) != 1 or inputs[0].dtype != "float32":
        return False
    shape = inputs[0].shape
    return len(shape) == 4 and shape[0] == 1 and shape[1] in _CHANNELS


def photographs(folder: str | None) -> tuple[Path, ...]:
    """Return the images of a folder, by name; scikit-learn's two without one.

    Raises ConfigurationError if there are none, or one cannot be read. Other files are left out.
    """
    if folder is None:
        package = importlib.util.find_spec(_DATA_SETS)
        assert package is not None and package.origin is not None
        return tuple(sorted(Path(package.origin).parent.glob("datasets/images/*.jpg")))
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    except OSError as error:
        raise ConfigurationError(
            f"model.frames: {folder}: {error.strerror}; name a folder with JPEG or PNG files"
        ) from error
    found = tuple(path for path in files if _is_image(path))
    if not found:
        raise ConfigurationError(
            f"model.frames: {folder}: none of its {len(files)} files is an image that can be read;"
            " name a folder with JPEG or PNG files"
        )
    return found


def _is_image(path: Path) -> bool:
    """Whether a file is an image; ConfigurationError for one that is broken."""
    try:
        with Image.open(path) as image:
            image.verify()
    except UnidentifiedImageError:
        return False
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigurationError(f"model.frames: {path}: {error}") from error
    return True


@cache  # clients share few photographs
def _scaled(path: Path, mode: str, shorter: float) -> np.ndarray:
    """Return a photograph whose shorter side has so many pixels, (height, width, channels)."""
    try:
        with Image.open(path) as image:
            scale = shorter / min(image.size)
            width, height = (max(1, round(side * scale)) for side in image.size)
            pixels = np.asarray(image.convert(mode).resize((width, height)))
    except (OSError, SyntaxError) as error:
        raise ConfigurationError(f"model.frames: {path}: {error}") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, None]
