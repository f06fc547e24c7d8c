"""Deployments that back up and restore."""

from __future__ import annotations

from tests.backup.restore.vault import vault
from tests.support.house import house, plot, sqlite_house, surroundings

__all__ = ["house", "plot", "sqlite_house", "surroundings", "vault"]
