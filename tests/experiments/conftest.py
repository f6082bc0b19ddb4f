"""What tests of experiments share: made-up people who walk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

PEOPLE, SAMPLES, STEP_S = 9, 900, 5.0


@pytest.fixture(scope="session")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People who walk between four places and pause there, sampled every 5 s."""
    folder = tmp_path_factory.mktemp("walks")
    places_m = np.array([(0, 0), (200, 30), (120, 260), (320, 200)])
    for person in range(PEOPLE):
        rng = np.random.default_rng(person)
        positions_m = [places_m[0].astype(float)]
        while len(positions_m) < SAMPLES:
            here_m, there_m = positions_m[-1], places_m[rng.integers(4)]
            steps = int(np.hypot(*(there_m - here_m)) / (1.2 * STEP_S))
            positions_m += [here_m + (there_m - here_m) * k / steps for k in range(1, steps)]
            positions_m += [there_m.astype(float)] * int(rng.integers(2, 40))
        noisy_m = np.array(positions_m[:SAMPLES]) + rng.normal(scale=2, size=(SAMPLES, 2))
        lines = [f"{i * STEP_S:g} {x:.2f} {y:.2f}\n" for i, (x, y) in enumerate(noisy_m)]
        (folder / f"p{person}.txt").write_text("".join(lines))
    return folder
