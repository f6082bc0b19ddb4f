"""Frames and layers on TCP connections."""
