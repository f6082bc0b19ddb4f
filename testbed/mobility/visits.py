"""Which servers a person visits within the next intervals: a discrete-time hazard model.

The paper predicts one position and takes the servers in a circle around it. This predictor gives
each server near a person a probability of its own, for each of the next `HORIZON` intervals: a
network looks at the person's movement as seen from that server (`visit_features`) and at how
people went from server to server in training (`flows`), and says how probable a first visit is at
each interval, given that there was none before. So a visit within h intervals is never less
probable than one within h - 1.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from testbed.arrays import FloatArray, IntArray
from testbed.errors import ConfigurationError
from testbed.mobility.neighbourhood import NOBODY
from testbed.mobility.predictor import TRAJECTORY_LENGTH, Candidates, Predictor, histories
from testbed.mobility.regression import LinearSvr
from testbed.mobility.training import seeded, train
from testbed.mobility.transitions import Flows
from testbed.mobility.visit_features import CandidateRows, Features, NearbyServers

HORIZON = 5  # intervals: the time to live of layers that were migrated ahead (section IV.B.3)
MEMORY = 30  # positions; log loss on KAIST falls 4.5 % from 5 to 40, and hardly beyond
_UNITS = 64
_EPOCHS = 8
_BATCH = 64, 4096  # at least and at most: a hundredth of the examples between them
_LEARNING_RATE = 0.004
_SEED = 0
_LEAST_DEVIATION = 0.003  # of a column that hardly changes in training
_PEOPLE_AT_ONCE = 2000  # what they need stays in the processor's cache


class VisitPredictor(Predictor):
    """Probabilities of visits; for the next position it asks a linear SVR."""

    def __init__(self, n: int = TRAJECTORY_LENGTH) -> None:
        super().__init__(max(n, TRAJECTORY_LENGTH))
        self._position = LinearSvr(self.n)
        self._surroundings: NearbyServers | None = None
        self._flows: Flows | None = None
        self._network: nn.Module | None = None

    @property
    def memory(self) -> int:
        """How many positions it reads at most."""
        return max(self.n, MEMORY)

    def fit(self, paths: Sequence[FloatArray], servers_m: FloatArray) -> None:
        """Train the network from new weights, the same for the same paths."""
        self._position.fit(paths, servers_m)
        surroundings = NearbyServers(servers_m)
        attached = [surroundings.attached(path) for path in paths]
        self._surroundings, self._flows = surroundings, Flows(attached, len(servers_m))
        examples = [
            self._examples(path, servers, Flows([servers], len(servers_m)))
            for path, servers in zip(paths, attached, strict=True)
            if len(path) > self.n
        ]
        features, first, known = (np.concatenate(each) for each in zip(*examples, strict=True))
        if not len(features):
            raise ConfigurationError("no server is near any of the training paths")
        self._network = _trained(features, first, known)

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the next positions, (b, 2)."""
        return self._position.predict(recent[:, -self.n :])

    def candidates(self, recent: FloatArray) -> Candidates:
        """Return all servers near b people; a visit within 1, 2, ... `HORIZON` intervals."""
        starts = range(0, max(len(recent), 1), _PEOPLE_AT_ONCE)
        cores = len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(min(cores, len(starts))) as threads:
            parts = list(
                threads.map(lambda at: self._candidates(recent[at : at + _PEOPLE_AT_ONCE]), starts)
            )
        width = max(part.servers.shape[1] for part in parts)
        servers = np.full((len(recent), width), NOBODY)
        probability = np.zeros((len(recent), width, HORIZON))
        for start, part in zip(starts, parts, strict=True):
            rows, columns = part.servers.shape
            servers[start : start + rows, :columns] = part.servers
            probability[start : start + rows, :columns] = part.probability
        return Candidates(servers, probability)

    def _candidates(self, recent: FloatArray) -> Candidates:
        rows, features = self._describe(self._remembered(recent))
        assert self._network is not None
        with torch.inference_mode():
            hazard = torch.sigmoid(self._network(torch.from_numpy(features)))
            visited = (1 - torch.cumprod(1 - hazard, dim=1)).double().numpy()  # (r, h)
        count = np.bincount(rows.person, minlength=len(recent))
        column = np.arange(len(rows.person)) - np.repeat(count.cumsum() - count, count)
        servers = np.full((len(recent), int(count.max(initial=0))), NOBODY)
        probability = np.zeros((*servers.shape, HORIZON))
        servers[rows.person, column] = rows.server
        probability[rows.person, column] = visited
        best = np.argsort(-probability[..., 0] - (servers != NOBODY), axis=1, kind="stable")
        return Candidates(
            np.take_along_axis(servers, best, axis=1),
            np.take_along_axis(probability, best[..., np.newaxis], axis=1),
        )

    def _remembered(self, recent: FloatArray) -> FloatArray:
        """Return as many positions as in training, where a shorter path's first is repeated too."""
        missing = self.memory - recent.shape[1]
        if not missing:
            return recent
        return np.concatenate((recent[:, :1].repeat(missing, axis=1), recent), axis=1)

    def _describe(
        self, recent: FloatArray, own: Flows | None = None
    ) -> tuple[CandidateRows, Features]:
        """Return the candidates of b people and all that is known of each, (r, features)."""
        if self._surroundings is None or self._flows is None:
            raise RuntimeError("fit the predictor before asking it for candidates")
        rows = self._surroundings.rows(recent)
        flows = self._flows.features(rows.origin, rows.server, own)
        return rows, np.concatenate((rows.features, flows), axis=1)

    def _examples(
        self, path: FloatArray, attached: IntArray, own: Flows
    ) -> tuple[Features, IntArray, IntArray]:
        """Return features, interval of the first visit, and how far ahead the path is known.

        The first visit is at interval 1 to `HORIZON`; it is `HORIZON` + 1 where there is none.
        """
        rows, features = self._describe(histories(path, self.n, self.memory)[:-1], own)
        steps = len(path) - self.n
        ahead = np.full((steps, HORIZON), NOBODY)
        for interval in range(1, HORIZON + 1):
            later = attached[self.n - 1 + interval :]
            ahead[: len(later), interval - 1] = later
        first, known = first_visits(ahead, rows.person, rows.server)
        return features, first, known


def first_visits(ahead: IntArray, person: IntArray, server: IntArray) -> tuple[IntArray, IntArray]:
    """Return when each of r candidates is first visited, and how many intervals ahead are known.

    `ahead` are the servers that b people use in the next h intervals, (b, h), `NOBODY` where
    unknown; `person` and `server`, (r,) each, are those of the candidates.
    """
    visited = ahead[person] == server[:, np.newaxis]
    horizon = ahead.shape[1]
    first = np.where(visited.any(axis=1), visited.argmax(axis=1) + 1, horizon + 1)
    return first, (ahead != NOBODY).sum(axis=1)[person]


def _trained(features: Features, first: IntArray, known: IntArray) -> nn.Module:
    """Return a network of the hazards' logits, trained to make the first visits most likely."""
    inputs, first_visit, last_known = map(torch.from_numpy, (features, first, known))
    interval = torch.arange(1, HORIZON + 1)
    log = nn.functional.logsigmoid
    spared = (interval < first_visit[:, None]) & (interval <= last_known[:, None])  # (r, h)
    visits = interval == first_visit[:, None]
    network = seeded(lambda: _network(inputs), _SEED)

    def unlikeliness(rows: Tensor) -> Tensor:
        logits = network(inputs[rows])
        return -(log(-logits) * spared[rows] + log(logits) * visits[rows]).sum(dim=1).mean()

    train(
        network,
        unlikeliness,
        len(inputs),
        epochs=_EPOCHS,
        batch=int(np.clip(len(inputs) // 100, *_BATCH)),
        learning_rate=_LEARNING_RATE,
        seed=_SEED,
    )
    return network


class _StandardScores(nn.Module):
    """Columns as standard scores, with the mean and deviation that they have in training."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        deviation, self._mean = torch.std_mean(inputs, dim=0, correction=0)
        self._deviation = deviation.clamp_min(_LEAST_DEVIATION)

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self._mean) / self._deviation


def _network(inputs: Tensor) -> nn.Module:
    return nn.Sequential(
        _StandardScores(inputs),
        nn.Linear(inputs.shape[1], _UNITS),
        nn.ReLU(),
        nn.Linear(_UNITS, _UNITS),
        nn.ReLU(),
        nn.Linear(_UNITS, HORIZON),
    )
