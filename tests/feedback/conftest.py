"""Deployments for the tests of this folder."""

from __future__ import annotations

from tests.support.feedback import anybody, bad_day, sqlite_voters, voters
from tests.support.house import guest, house, sqlite_house, surroundings

__all__ = ["anybody", "bad_day", "guest", "house", "sqlite_house", "sqlite_voters", "surroundings", "voters"]
