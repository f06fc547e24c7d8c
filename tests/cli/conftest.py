"""Deployments, and the command line beside them."""

from __future__ import annotations

from tests.support.house import guest, house, sqlite_house, surroundings

__all__ = ["guest", "house", "sqlite_house", "surroundings"]
