"""Executing in the background what nodes replay: a pool of processes on each machine."""
