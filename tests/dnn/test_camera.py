"""Frames that pan over photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from testbed.dnn.camera import Camera, photographs, takes_frames
from testbed.dnn.graph import TensorSpec
from testbed.errors import ConfigurationError

SHAPE = (1, 3, 224, 224)


def test_frames_differ_from_query_to_query_and_from_client_to_client() -> None:
    seen = [
        Camera(photographs(None), SHAPE, seed).frame(number)
        for seed in range(4)
        for number in range(6)
    ]
    assert all(frame.shape == SHAPE and frame.dtype == torch.float32 for frame in seen)
    assert all(0.0 <= frame.min() < frame.max() <= 1.0 for frame in seen)
    assert len({frame.numpy().tobytes() for frame in seen}) == len(seen)
    again = Camera(photographs(None), SHAPE, 3).frame(5)
    assert torch.equal(again, seen[-1])


def test_a_frame_shows_a_part_of_its_photograph_that_moves_steadily(tmp_path: Path) -> None:
    """Each pixel tells where it is, so a frame tells what the camera sees."""
    y, x = np.mgrid[0:150, 0:200].astype(np.uint8)
    Image.fromarray(np.dstack([y, x, np.zeros_like(x)])).save(tmp_path / "grid.png")
    camera = Camera(photographs(str(tmp_path)), (1, 3, 100, 100), 7)
    corners = []
    for number in range(60):
        frame = (camera.frame(number)[0] * 255).round().int()
        corner = frame[:2, 0, 0]
        assert torch.equal(frame[0], corner[0] + torch.arange(100)[:, None].expand(100, 100))
        assert torch.equal(frame[1], corner[1] + torch.arange(100)[None].expand(100, 100))
        corners.append(corner.numpy())
    steps = np.abs(np.diff(corners, axis=0)).max(axis=1)
    assert 0 < np.median(steps) <= 7 and steps.max() <= 7
    assert len({tuple(corner) for corner in corners}) > 30


@pytest.mark.parametrize(("size", "mode"), [((40, 900), "RGB"), ((300, 300), "L"), ((9, 9), "P")])
def test_photographs_of_any_size_and_kind_will_do(
    tmp_path: Path, size: tuple[int, int], mode: str
) -> None:
    Image.new(mode, size, 3).save(tmp_path / "image.png")
    for channels in (1, 3):
        frame = Camera(photographs(str(tmp_path)), (1, channels, 32, 48), 1).frame(11)
        assert frame.shape == (1, channels, 32, 48)


def test_files_that_are_no_images_are_left_out_and_a_folder_without_any_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "deeper").mkdir()
    with pytest.raises(ConfigurationError, match=r"model\.frames: .*none of its 1 files"):
        photographs(str(tmp_path))
    Image.new("RGB", (50, 50)).save(tmp_path / "b.jpg")
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    assert [path.name for path in photographs(str(tmp_path))] == ["a.png", "b.jpg"]
    with pytest.raises(ConfigurationError, match=r"model\.frames: .*No such file"):
        photographs(str(tmp_path / "missing"))
    whole = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match=r"b\.jpg"):
        for seed in range(20):
            Camera(photographs(str(tmp_path)), SHAPE, seed)


def test_only_images_are_frames() -> None:
    for shape, dtype, expected in (
        (SHAPE, "float32", True),
        ((1, 1, 8, 8), "float32", True),
        ((2, 3, 8, 8), "float32", False),
        ((1, 4, 8, 8), "float32", False),
        ((1, 3, 8), "float32", False),
        (SHAPE, "int64", False),
    ):
        assert takes_frames((TensorSpec("input", shape, dtype),)) is expected
    assert not takes_frames((TensorSpec("a", SHAPE, "float32"), TensorSpec("b", (1,), "float32")))
