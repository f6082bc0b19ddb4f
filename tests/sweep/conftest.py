"""The fixtures of `studies`, for all tests of sweeps."""

from tests.sweep.studies import place, sweep

__all__ = ["place", "sweep"]
