"""Deployments for the tests of this folder."""

from __future__ import annotations

from tests.support.house import house, sqlite_house, surroundings

__all__ = ["house", "sqlite_house", "surroundings"]
