"""A short soak; `python -m tests.faults.soak --kills 200` is the long one."""

from __future__ import annotations

import pytest

from tests.faults.soak import Soak
from tests.support.scene import Scene


@pytest.mark.slow
def test_kills_at_random_moments(scene: Scene) -> None:
    tally = Soak(scene, rows=12_000, seed=20_251_015).run(15)
    assert tally.kills.total == 15
    assert (tally.lost, tally.doubled) == (0, 0)
    assert tally.archived > 0
    assert len(tally.kills.steps) > 2, tally.kills
