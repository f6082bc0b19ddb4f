"""Which server comes next after the last ones: a Markov model of variable order (section III.D).

A prediction suffix tree (Ron, Singer, Tishby, COLT 1994) counts what followed each sequence of
servers. Of a person's recent sequence, the longest suffix that was ever seen is found, and a part
of it, `SUBSEQUENCE_RATIO` of its length, predicts: long patterns are rare, and what followed
them says little (Jacquet, Szpankowski, Apostol, IEEE Trans. Inf. Theory 48(6), 2002).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from testbed.arrays import FloatArray
from testbed.mobility.neighbourhood import NOBODY, ServerIndex
from testbed.mobility.predictor import TRAJECTORY_LENGTH, Candidates, Predictor, training_windows

SUBSEQUENCE_RATIO = 0.7  # section III.D: the most accurate on the paper's data
_CANDIDATES = 6

Suffix = tuple[int, ...]


class SuffixTree:
    """What followed each sequence of up to `depth` symbols, and how often."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._followers: dict[Suffix, Counter[int]] = {}

    def add(self, sequence: Suffix) -> None:
        """Learn from the last symbol of a sequence what follows every suffix of those before."""
        *before, following = sequence
        recent = tuple(before)[-self._depth :]
        for start in range(len(recent) + 1):
            self._followers.setdefault(recent[start:], Counter())[following] += 1

    def best(self, recent: Suffix, count: int) -> list[tuple[int, float]]:
        """Return the `count` most probable next symbols with their probabilities.

        Symbols that never followed the part that predicts come last, with probability 0: those that
        followed shorter suffixes.
        """
        longest = next(each for each in range(len(recent), -1, -1) if self._seen(recent, each))
        length = max(int(SUBSEQUENCE_RATIO * longest), min(longest, 1))
        followers = self._followers[recent[len(recent) - length :]]
        total = followers.total()
        found = {each: times / total for each, times in followers.most_common(count)}
        while len(found) < count and length:
            length -= 1
            for each, _ in self._followers[recent[len(recent) - length :]].most_common(count):
                found.setdefault(each, 0.0)
        return list(found.items())[:count]

    def _seen(self, recent: Suffix, length: int) -> bool:
        return recent[len(recent) - length :] in self._followers


class Markov(Predictor):
    """Predicts from servers alone; its position is the place of the most probable one."""

    def __init__(self, n: int = TRAJECTORY_LENGTH) -> None:
        super().__init__(n)
        self._tree = SuffixTree(n)
        self._servers: ServerIndex | None = None

    def fit(self, paths: Sequence[FloatArray], servers_m: FloatArray) -> None:
        """Count what followed each sequence of up to n servers."""
        recent, following = training_windows(paths, self.n)
        self._servers = ServerIndex(servers_m)
        self._tree = SuffixTree(self.n)
        visited = np.concatenate((recent, following[:, np.newaxis]), axis=1)
        for sequence in self._attached(visited):
            self._tree.add(sequence)

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the places of the most probable servers, (b, 2)."""
        best = self.candidates(recent).servers[:, 0]
        assert self._servers is not None
        return self._servers.servers_m[best]

    def candidates(self, recent: FloatArray) -> Candidates:
        """Return the servers that most often followed."""
        servers = np.full((len(recent), _CANDIDATES), NOBODY)
        probability = np.zeros((len(recent), _CANDIDATES, 1))
        for row, sequence in enumerate(self._attached(recent)):
            best = self._tree.best(sequence, _CANDIDATES)
            servers[row, : len(best)] = [server for server, _ in best]
            probability[row, : len(best), 0] = [share for _, share in best]
        return Candidates(servers, probability)

    def _attached(self, paths_m: FloatArray) -> list[Suffix]:
        """Return the servers that b people used at each of m steps, (b, m, 2)."""
        if self._servers is None:
            raise RuntimeError("fit the predictor before asking it for a prediction")
        servers = self._servers.attached(paths_m.reshape(-1, 2))
        return [tuple(row.tolist()) for row in servers.reshape(paths_m.shape[:2])]
