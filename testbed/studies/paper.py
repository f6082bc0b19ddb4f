"""The figures of the PerDNN paper that experiments print beside their own.

H.-J. Jeong et al., "PerDNN: Offloading Deep Neural Network Computations to Pervasive Edge Servers",
IEEE ICDCS, 2020. Where the paper writes MB of a model it means MiB (see `table1_models.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

MODELS = ("mobilenet", "inception", "resnet")  # in the order of the paper's tables


class ReportedModel(NamedTuple):
    """A row of Table I."""

    layers: int
    size_mib: int


class Throughput(NamedTuple):
    """A column of Table II: queries executed while a model is uploaded."""

    uploading_s: float
    miss_queries: int
    hit_queries: int


TABLE_1 = {
    "mobilenet": ReportedModel(110, 16),
    "inception": ReportedModel(312, 128),
    "resnet": ReportedModel(245, 98),
}

TABLE_2 = {
    "mobilenet": Throughput(3.7, 4, 5),
    "inception": Throughput(29.3, 33, 44),
    "resnet": Throughput(22.4, 14, 34),
}

# Fig. 7: of Inception's peak query time, without and with proactive migration of a part
FIG7_INCEPTION_SPEEDUP = 2.8
FIG7_INCEPTION_MIGRATED_MB = 12  # "9 % of the total model"
FIG7_COLD_START_S = {"mobilenet": 6, "inception": 30, "resnet": 23}  # when the server changes


class ReportedAccuracy(NamedTuple):
    """A cell of Table III: per cent of the non-futile predictions, and metres."""

    top1: float
    top2: float
    mae_m: float | None = None


TABLE_3 = {
    "kaist": {
        "markov": ReportedAccuracy(4.6, 44.4),
        "svr": ReportedAccuracy(8.1, 54.1, 12.9),
        "rnn": ReportedAccuracy(9.2, 54.6, 12.4),
    },
    "geolife": {
        "markov": ReportedAccuracy(15.0, 32.0),
        "svr": ReportedAccuracy(38.1, 59.6, 31.4),
        "rnn": ReportedAccuracy(36.9, 58.1, 32.1),
    },
}


class DataSet(NamedTuple):
    """How the paper looks at a data set (sections III.D and IV.B)."""

    lstm_units: int
    preparation: Mapping[str, object] = {}  # further settings of `traces`


# Of Geolife's 182 people 121 come into the rectangle, so the paper's 138 "users" must be unbroken
# segments. Steps and what else applies in every experiment is in `traces/datasets.py`.
DATA_SETS = {
    "kaist": DataSet(32),
    "geolife": DataSet(16, {"test_segments": 138, "min_duration_s": 120.0}),
}

# Fig. 9: hit ratios by radius in metres, and executed queries with migration over those without
FIG9_HIT_RATIOS = {"kaist": {50.0: 0.37, 100.0: 0.90}, "geolife": {50.0: 0.43, 100.0: 0.70}}
FIG9_GAINS = (1.58, 1.97)
# More queries where everything is everywhere than without migration; of which data set is not said
FIG9_OPTIMIZABLE = {"mobilenet": 3_500, "inception": 40_000, "resnet": 64_000}

# Section IV.B.4: the most crowded server's rates with Inception
PEAKS_MBPS = {"kaist": (616, 205), "geolife": (667, 359)}
SERVERS_UNDER_100_MBPS = (0.60, 0.70)  # share of all, of both data sets
CLIENTS_AT_PEAK = {"kaist": 13, "geolife": 18}  # whose layers that server sent at its peak


class Fractional(NamedTuple):
    """A half of Fig. 10: MiB at crowded servers, peak uplinks with all and these, queries lost."""

    migrated_mib: int
    full_mbps: int
    fractional_mbps: int
    queries_lost: float

    @property
    def saved(self) -> float:
        """Share of the peak uplink."""
        return 1 - self.fractional_mbps / self.full_mbps


FIG10 = {"inception": Fractional(43, 616, 206, 0.02), "resnet": Fractional(56, 469, 268, 0.01)}

# Fig. 6: intervals whose errors are drawn by trajectory length, and those of the other half
FIG6_INTERVALS_S = (15.0, 20.0, 25.0, 30.0)
FIG6_LENGTHS = tuple(range(1, 11))
FIG6_ALL_INTERVALS_S = (15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0)
FIG6_BEST_INTERVAL_S = 20.0  # on Geolife
