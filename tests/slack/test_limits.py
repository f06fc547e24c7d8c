"""Whatever the facts are, the message stays within Slack's limits and nothing in it is taken for markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from local.artefact import FUNCTIONS
from local.slack_rules import check_message
from nightshift.errors import NightshiftError
from nightshift.job_spec import list_jobs, load_object, load_spec
from nightshift.results.cleanup import CleanupResult, TableResult
from nightshift.results.common import JobResult, RunStatus
from nightshift.slack.markup import clip_text, format_code, format_fenced, format_prose, plain_text
from nightshift.slack.messages import MAX_MESSAGE
from nightshift.slack.phrases.forms import Language
from nightshift.slack.renderer import ReportFrame, SlackMessage, as_text, render_result
from tests.slack.any_facts import HOSTILE, RESULTS, WORST, errors, results, some_text
from tests.slack.worst_facts import (
    worst_backup,
    worst_cleanup,
    worst_expiry,
    worst_feedback,
    worst_reembed,
    worst_restore,
    worst_restored_backup,
)

AS_OF = datetime(2025, 10, 15, tzinfo=UTC)
SEOUL = ZoneInfo("Asia/Seoul")
BARE = re.compile(r"&(?!amp;|lt;|gt;)|[<>]")
LINK = re.compile(r"<https?://[!-;=?-_a-{}~]+\|📊 [^<>|&]+>")
"""The one link that there may be: an address of printable ASCII without `<`, `>`, `|` and backticks, and our words."""

JOBS = {load_object(load_spec(job).work).__annotations__["return"]: job for job in list_jobs(FUNCTIONS)}
"""Jobs by the name of the class that they return."""

outcomes = st.tuples(results, st.none()) | st.tuples(st.none() | results, errors)
languages: st.SearchStrategy[Language] = st.sampled_from(["ko", "en"])


def texts(message: SlackMessage) -> list[str]:
    return [message.text, *(block["text"]["text"] for block in message.blocks)]


def assert_sound(message: SlackMessage) -> None:
    """Slack takes it, by its own rules, its SDK's, and ours; nothing in it is markup by accident."""
    check_message(message.text, list(message.blocks))
    for block in message.blocks:
        parsed = Block.parse(dict(block))
        assert parsed is not None
        parsed.validate_json()
    whole = json.dumps(message.blocks, ensure_ascii=False) + json.dumps(message.text, ensure_ascii=False)
    assert len(whole) <= MAX_MESSAGE
    assert whole.encode().decode() == whole  # no half characters
    for text in texts(message):
        assert text.strip()
        assert not BARE.search(LINK.sub("", text, count=1)), text
        assert text.count("```") in (0, 2)
        assert not re.search("[\x00-\x08\u202a-\u202e]", text)


@settings(deadline=None)
@given(
    outcome=outcomes,
    job=some_text,
    language=languages,
    dry_run=st.booleans(),
    attempt=st.integers(1, 1000),
    request_id=st.none() | some_text,
)
def test_any_facts_make_a_message_that_slack_takes(
    outcome: tuple[JobResult | None, Exception | None],
    job: str,
    language: Language,
    dry_run: bool,
    attempt: int,
    request_id: str | None,
) -> None:
    job = JOBS.get(type(outcome[0]).__name__, job)
    report = ReportFrame(job, AS_OF, dry_run, 1234, outcome[0], outcome[1], attempt, request_id)
    message = render_result(report, language, SEOUL)
    assert_sound(message)
    assert as_text(message)


MAKERS: dict[str, Callable[[str, RunStatus, int], JobResult]] = {
    "cleanup": worst_cleanup,
    "restore": worst_restore,
    "expire_jobs": worst_expiry,
    "feedback": worst_feedback,
    "reembed": worst_reembed,
    "backup": worst_backup,
    "rehearse": worst_restored_backup,
}
of_each_job = pytest.mark.parametrize("job", MAKERS)
of_each_text = pytest.mark.parametrize("worst", WORST, ids=[f"{piece[:8]!a}" for piece in HOSTILE])


def assert_worst_is_sound(job: str, worst: str, status: RunStatus) -> None:
    error = NightshiftError(worst, detail=worst, hint=worst)
    for count in (1, 60):
        result = MAKERS[job](worst, status, count)
        assert_sound(render_result(ReportFrame(job, AS_OF, False, 1, result), "ko", SEOUL))
        assert_sound(render_result(ReportFrame(worst, AS_OF, True, 1, result, error, 2, worst), "en", SEOUL))


@of_each_job
@of_each_text
def test_the_worst_text_everywhere(job: str, worst: str) -> None:
    """In one status each, so that each status meets each job and each text."""
    number = [*MAKERS].index(job) + WORST.index(worst)
    assert_worst_is_sound(job, worst, [*RunStatus][number % len(RunStatus)])


@pytest.mark.slow
@of_each_job
@of_each_text
def test_the_worst_text_everywhere_in_every_status(job: str, worst: str) -> None:
    for status in RunStatus:
        assert_worst_is_sound(job, worst, status)


def test_no_message_is_left_out_of_these_tests() -> None:
    assert {*JOBS, "RunRefused"} == {kind.__name__ for kind in RESULTS}


def test_a_name_cannot_add_a_line_to_the_report() -> None:
    table = TableResult(table="a\n- 백업 수: 0 rows\u2028x", status=RunStatus.OK, warnings=("b\r\n- 백업 수: 0 rows",))
    seen = as_text(render_result(ReportFrame("cleanup", AS_OF, False, 1, CleanupResult(tables=(table,))), "ko", SEOUL))
    assert [line for line in seen.splitlines() if line.startswith("- 백업 수")] == ["- 백업 수: 0 rows"]


def test_a_mention_is_shown_and_not_made() -> None:
    error = NightshiftError("<!channel> & <@U1>", detail="<!here>")
    message = render_result(ReportFrame("cleanup", AS_OF, False, 1, None, error), "ko", SEOUL)
    assert "&lt;!channel&gt; &amp; &lt;@U1&gt;" in message.blocks[1]["text"]["text"]
    assert "<!channel> & <@U1>" in as_text(message)
    assert [block["text"].get("verbatim") for block in message.blocks] == [None, True, True]


def test_the_text_for_notifications_opens_like_the_message() -> None:
    table = TableResult(table="public.a", status=RunStatus.OK, archived_rows=124)
    tables = tuple(replace(table, table=f"public.t{n}") for n in range(40))
    message = render_result(ReportFrame("cleanup", AS_OF, False, 1, CleanupResult(tables=tables)), "ko", SEOUL)
    assert message.text.startswith("💾 DB Cleanup Report\n- 백업 수: 4,960 rows")
    assert message.text.endswith("…")


@given(text=some_text, limit=st.integers(10, 200))
@example(text="&amp;\u0301" * 9, limit=15)
@example(text="e\u0301" * 300, limit=20)
@example(text="\u0301" * 300, limit=20)
def test_a_cut_never_splits_an_entity(text: str, limit: int) -> None:
    for cut in (format_prose(text, limit), format_code(text, limit), format_fenced(text, limit)):
        assert len(cut) <= limit
        assert not BARE.search(cut)


@pytest.mark.parametrize(
    ("markup", "limit", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("ab&amp;cd", 5, "ab…"),
        ("ab&amp;cd", 8, "ab&amp;…"),
        ("ae\u0301e\u0301", 4, "ae\u0301…"),
        ("ae\u0301e\u0301", 3, "a…"),
        ("a👩‍👩‍👧b", 5, "a…"),
        ("a👍🏽bb", 4, "a👍🏽…"),
        ("a👍🏽bb", 3, "a…"),
    ],
)
def test_where_a_cut_falls(markup: str, limit: int, expected: str) -> None:
    assert clip_text(markup, limit) == expected


def test_names_and_details_cannot_leave_their_code_span() -> None:
    assert format_code("a`b") == "`a'b`"
    assert format_code("  \n ") == "-"
    assert format_fenced("a```b`c\nd") == "```\na'''b`c\nd\n```"
    assert format_prose("run `plan` ```now```") == "run `plan` '''now'''"


def test_plain_undoes_the_markup_and_no_more() -> None:
    assert plain_text("`a_b` &lt;c&gt; &amp;amp; *d*\n```\ne\n```") == "a_b <c> &amp; *d*\ne"
