"""Packet captures: their files, the headers in them, and what makes them doubtful."""
