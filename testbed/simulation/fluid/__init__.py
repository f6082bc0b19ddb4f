"""Bytes in virtual time: streams of layers, the uplink, and the backhaul's links."""
