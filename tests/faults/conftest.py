"""Every fault test stands on a `scene`: a table that is due, with real servers around it."""

from __future__ import annotations

from tests.support.house import sqlite_house, surroundings
from tests.support.scene import scene, sqlite_scene

__all__ = ["scene", "sqlite_house", "sqlite_scene", "surroundings"]
