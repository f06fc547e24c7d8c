"""Thirty days of votes that end badly: the picture in the documentation is drawn from them.

python -m tests.charts.example docs/feedback_chart.png
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from random import Random

from nightshift.charts.feedback import feedback_chart
from nightshift.results.feedback import DayVotes, VoteTotals

LAST = date(2025, 10, 16)
THRESHOLD = 0.3
NO_VOTES = (5, 6, 15)
"""Days on which nobody voted."""


def days(votes: Callable[[int], VoteTotals], count: int = 30) -> list[DayVotes]:
    """Days up to `LAST`, with the votes of each by its number."""
    return [DayVotes(day=LAST - timedelta(days=count - 1 - n), votes=votes(n)) for n in range(count)]


def getting_worse(number: int) -> VoteTotals:
    """About a hundred votes a day, one in eight of them a dislike; more and more in the last week, and 41 at last."""
    if number in NO_VOTES:
        return VoteTotals()
    chance = Random(number)
    total = 100 if number == 29 else chance.randint(70, 125)
    ratio = 0.41 if number == 29 else chance.uniform(0.07, 0.18) + max(0, number - 23) * 0.025
    dislikes = round(total * ratio)
    return VoteTotals(likes=total - dislikes, dislikes=dislikes)


def example() -> bytes:
    return feedback_chart(days(getting_worse), threshold=THRESHOLD, language="ko")


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(example())
