"""The figures of the PerDNN paper that experiments print beside their own.

H.-J. Jeong et al., "PerDNN: Offloading Deep Neural Network Computations to Pervasive Edge Servers",
IEEE ICDCS, 2020. Where the paper writes MB of a model it means MiB (see `table1_models.py`).
"""

from __future__ import annotations

from typing import NamedTuple

MODELS = ("mobilenet", "inception", "resnet")  # in the order of the paper's tables


class Model(NamedTuple):
    """A row of Table I."""

    layers: int
    size_mib: int


class Throughput(NamedTuple):
    """A column of Table II: queries executed while a model is uploaded."""

    uploading_s: float
    miss_queries: int
    hit_queries: int


TABLE_1 = {
    "mobilenet": Model(110, 16),
    "inception": Model(312, 128),
    "resnet": Model(245, 98),
}

TABLE_2 = {
    "mobilenet": Throughput(3.7, 4, 5),
    "inception": Throughput(29.3, 33, 44),
    "resnet": Throughput(22.4, 14, 34),
}

# Section IV.A: rates of the wireless link, and the pause between an answer and the next query
UP_BPS = 35e6
DOWN_BPS = 50e6
QUERY_GAP_S = 0.5

# Fig. 7: of Inception's peak query time, without and with proactive migration of a part
FIG7_INCEPTION_SPEEDUP = 2.8
FIG7_INCEPTION_MIGRATED_MB = 12  # "9 % of the total model"
FIG7_COLD_START_S = {"mobilenet": 6, "inception": 30, "resnet": 23}  # when the server changes
