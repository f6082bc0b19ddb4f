"""Contention profiles: how long layers take while so many clients run inference (Fig. 4)."""
