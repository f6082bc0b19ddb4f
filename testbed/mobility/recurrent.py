"""A recurrent network that predicts positions: one LSTM cell and a linear layer (section III.D)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from testbed.arrays import FloatArray
from testbed.mobility.own_settings import LstmSettings, PredictorSettings
from testbed.mobility.positions import PositionPredictor
from testbed.mobility.predictor import TRAJECTORY_LENGTH, StandardScores
from testbed.mobility.training import seeded, train

LEARNING_RATE = 0.001  # section III.D, with Adam
_EPOCHS = 40
_BATCH = 128
_SEED = 0


class _LstmNetwork(nn.Module):
    """Reads scores, (b, n, 2); returns the scores of the next position, (b, 2)."""

    def __init__(self, units: int, cells: int) -> None:
        super().__init__()
        self.cell = nn.LSTM(input_size=2, hidden_size=units, num_layers=cells, batch_first=True)
        self.output = nn.Linear(units, 2)

    def forward(self, scores: Tensor) -> Tensor:
        latent, _ = self.cell(scores)  # (b, n, units)
        next_scores: Tensor = self.output(latent[:, -1])
        return next_scores


class Lstm(PositionPredictor):
    """Standard scores in, standard scores out; the loss is the mean absolute error.

    `cells` read one after the other, and `optimizer` is the name of one of `training.OPTIMIZERS`.
    """

    Settings = LstmSettings

    def __init__(
        self,
        n: int = TRAJECTORY_LENGTH,
        own: PredictorSettings | None = None,
        *,
        cells: int = 1,
        learning_rate: float = LEARNING_RATE,
        optimizer: str = "adam",
    ) -> None:
        super().__init__(n, own)
        self._cells = cells
        self._learning_rate = learning_rate
        self._optimizer = optimizer
        self._scores: StandardScores | None = None
        self._network: nn.Module | None = None

    def learn(self, paths: Sequence[FloatArray], recent: FloatArray, following: FloatArray) -> None:
        """Train the network from new weights, the same for the same windows."""
        self._scores = StandardScores(paths)
        inputs, targets = self._tensor(recent), self._tensor(following)
        network = seeded(lambda: _LstmNetwork(self.own.units, self._cells), _SEED)
        train(
            network,
            lambda rows: (network(inputs[rows]) - targets[rows]).abs().mean(),
            len(inputs),
            epochs=_EPOCHS,
            batch=_BATCH,
            learning_rate=self._learning_rate,
            optimizer=self._optimizer,
            seed=_SEED,
        )
        self._network = network

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the next positions, (b, 2), of people last seen at `recent`, (b, n, 2)."""
        inputs = self._tensor(recent)
        assert self._network is not None
        assert self._scores is not None
        with torch.inference_mode():
            scores = self._network(inputs).double().numpy()
        return self._scores.positions_m(scores)

    def _tensor(self, positions_m: FloatArray) -> Tensor:
        if self._scores is None:
            raise RuntimeError("fit the predictor before asking it for a prediction")
        return torch.from_numpy(self._scores.of(positions_m)).float()
