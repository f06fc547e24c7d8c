"""A short soak; `python -m tests.restore.soak --kills 50` is the long one."""

from __future__ import annotations

import pytest

from tests.restore.soak import Soak
from tests.support.way_back import WayBack


@pytest.mark.slow
def test_kills_at_random_moments(back: WayBack) -> None:
    back.archive(660, days=20)
    tally = Soak(back, seed=20_251_015).run(10)
    assert tally.kills.total == 10
    assert tally.rows > 0
    assert len(tally.kills.steps) > 2, tally.kills
