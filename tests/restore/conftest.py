"""Deployments for the tests of this folder."""

from __future__ import annotations

from tests.restore.small_log import log
from tests.support.house import guest, house, sqlite_house, surroundings
from tests.support.way_back import back, sqlite_back

__all__ = ["back", "guest", "house", "log", "sqlite_back", "sqlite_house", "surroundings"]
