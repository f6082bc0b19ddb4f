"""Estimators of execution times under load, and how far they err (Fig. 4)."""
