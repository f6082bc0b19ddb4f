"""Which access point serves a position: the nearest one (section IV.B).

Access points stand at the centres of hexagonal cells, so the nearest one is that of the position's
own cell wherever this cell has one.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from testbed.arrays import FloatArray, IntArray
from testbed.errors import ConfigurationError


def attach(x_m: FloatArray, y_m: FloatArray, ap_x_m: FloatArray, ap_y_m: FloatArray) -> IntArray:
    """Return for each of n positions the index of the nearest of m access points, (n,).

    Raises ConfigurationError if there are none.
    """
    if not len(ap_x_m):
        raise ConfigurationError("there are no access points to attach anyone to")
    tree = KDTree(np.column_stack((ap_x_m, ap_y_m)))
    _, nearest = tree.query(np.column_stack((x_m, y_m)))
    return np.asarray(nearest, dtype=np.int64)


def handover_steps(attached: IntArray) -> IntArray:
    """Return the steps (1 or later) at which the access point is not the one of the step before."""
    return np.flatnonzero(np.diff(attached)) + 1
