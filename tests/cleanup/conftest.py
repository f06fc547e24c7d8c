"""Deployments for the tests of this folder."""

from __future__ import annotations

from tests.support.house import guest, house, sqlite_house, surroundings

__all__ = ["guest", "house", "sqlite_house", "surroundings"]
