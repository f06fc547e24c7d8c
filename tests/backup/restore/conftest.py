"""Deployments that back up and restore."""

from __future__ import annotations

from tests.backup.restore.vault import vault
from tests.support.backups import backups
from tests.support.house import house, sqlite_house, surroundings

__all__ = ["backups", "house", "sqlite_house", "surroundings", "vault"]
