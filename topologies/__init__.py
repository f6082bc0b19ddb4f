"""Backhaul networks as Mininet `Topo` classes, and where access points stand."""
