"""A short soak; `python -m tests.backup.soak --kills 50` is the long one."""

from __future__ import annotations

import pytest

from tests.backup.soak import Soak
from tests.support.backups import BackupHouse


@pytest.mark.slow
def test_kills_at_random_moments(backups: BackupHouse) -> None:
    backups.fill()
    tally = Soak(backups, seed=20_251_015).run(8)
    assert tally.kills.total == 8
    assert len(tally.kills.steps) > 2, tally.kills
    assert tally.looked_at > 0
