"""The validator that stands between a bad schedule and a failed deployment."""

from __future__ import annotations

import re

import pytest

from tests.template import cron

GOOD = (
    "cron(0 9 ? * MON *)",
    "cron(0 0 * * ? *)",
    "cron(0/30 * * * ? *)",
    "cron(*/5 8-17 ? * MON-FRI *)",
    "cron(15 10 ? * 6L 2025-2030)",
    "cron(0 12 L * ? *)",
    "cron(0 12 L-3 * ? *)",
    "cron(0 12 LW * ? *)",
    "cron(0 12 15W JAN,JUL ? *)",
    "cron(0 12 ? 1-6/2 MON#1 2199)",
    "cron(0,30 9 1,15 * ? *)",
    "rate(1 hour)",
    "rate(30 minutes)",
)

BAD = (
    ("cron(0 9 * * MON *)", "exactly one"),
    ("cron(0 9 ? * ? *)", "exactly one"),
    ("cron(0 9 * * * *)", "exactly one"),
    ("cron(0 9 ? * MON)", "six fields, not 5"),
    ("cron(0 0 9 ? * MON *)", "six fields, not 7"),
    ("cron()", "six fields, not 0"),
    ("cron(60 9 ? * MON *)", "minutes: '60'"),
    ("cron(0 24 ? * MON *)", "hours: '24'"),
    ("cron(0 9 0 * ? *)", "day of month: '0'"),
    ("cron(0 9 32 * ? *)", "day of month: '32'"),
    ("cron(0 9 32W * ? *)", "day of month: '32W'"),
    ("cron(0 9 ? 13 MON *)", "month: '13'"),
    ("cron(0 9 ? MAI MON *)", "month: 'MAI'"),
    ("cron(0 9 ? * 0 *)", "day of week: '0'"),
    ("cron(0 9 ? * 8 *)", "day of week: '8'"),
    ("cron(0 9 ? * mon *)", "day of week: 'mon'"),
    ("cron(0 9 ? * MON#6 *)", "day of week: 'MON#6'"),
    ("cron(0 9 ? * MON#1,TUE#2 *)", "day of week: 'MON#1'"),
    ("cron(0 9 ? * MON/2 *)", "day of week: 'MON/2' is no step"),
    ("cron(0 9 ? * MON 1969)", "year: '1969'"),
    ("cron(0 9 ? * MON 2200)", "year: '2200'"),
    ("cron(0/0 9 ? * MON *)", "minutes: '0/0' is no step"),
    ("cron(0/ 9 ? * MON *)", "minutes: '0/' is no step"),
    ("cron(30-10 9 ? * MON *)", "minutes: '30-10' runs backwards"),
    ("cron(0, 9 ? * MON *)", "minutes: ''"),
    ("cron(-5 9 ? * MON *)", "minutes: ''"),
    ("cron(? 9 ? * MON *)", "minutes: '?'"),
    ("cron(0 9 ? * MON ?)", "year: '?'"),
    ("cron(0 9 ? L MON *)", "month: 'L'"),
    ("0 9 ? * MON *", "neither cron"),
    ("CRON(0 9 ? * MON *)", "neither cron"),
    ("cron(0 9 ? * MON *) ", "neither cron"),
    ("rate(1 hours)", "singular"),
    ("rate(2 hour)", "singular"),
    ("rate(0 hours)", "neither cron"),
    ("rate(5 weeks)", "neither cron"),
)


@pytest.mark.parametrize("expression", GOOD)
def test_a_good_expression_passes(expression: str) -> None:
    cron.check(expression)


@pytest.mark.parametrize(("expression", "sentence"), BAD)
def test_a_bad_expression_is_refused_by_name(expression: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        cron.check(expression)
