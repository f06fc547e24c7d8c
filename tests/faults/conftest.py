"""Every fault test stands on a `scene`: a table that is due, with real servers around it."""

from __future__ import annotations

from tests.support.scene import scene

__all__ = ["scene"]
