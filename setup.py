"""Kept for tools that still call it; the metadata stand in pyproject.toml."""

from setuptools import setup

setup()
