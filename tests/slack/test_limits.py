"""Whatever the facts are, the message stays within Slack's limits and nothing in it is taken for markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from local.slack_rules import check_message
from nightshift.errors import NightshiftError
from nightshift.results import (
    Attachment,
    CleanupResult,
    DamagedObject,
    Estimate,
    Refusal,
    RestoreResult,
    RunRefused,
    Status,
    TableResult,
)
from nightshift.slack.blocks import Message, Report, as_text, render
from nightshift.slack.markup import clip, code, fenced, plain, prose
from nightshift.slack.message import MAX_MESSAGE
from nightshift.slack.texts import Language

AS_OF = datetime(2025, 10, 15, tzinfo=UTC)
SEOUL = ZoneInfo("Asia/Seoul")
BARE = re.compile(r"&(?!amp;|lt;|gt;)|[<>]")

HOSTILE = (
    "&",
    "<!channel>",
    "<@U1>",
    "`",
    "```",
    '"',
    "\\",
    "*_~",
    "\n- 백업 수: 0 rows",
    "\x00",
    "\ud800",
    "👩‍👩‍👧",
    "가",
    "\u202e",
)
WORST = tuple(piece * (1600 // len(piece) + 1) for piece in HOSTILE)
"""Longer than anything that is shown of one value."""

some_text = (
    st.text(st.characters(), max_size=60)
    | st.lists(st.sampled_from(HOSTILE), max_size=20).map("".join)
    | st.sampled_from(HOSTILE).map(lambda piece: piece * 300)
)
counts = st.integers(0, 10**15)
amounts = st.just(0.0) | st.floats(1e-6, 1e9)
times = st.datetimes(timezones=st.timezones()) | st.datetimes()
estimates = st.builds(
    Estimate, rows=counts, bytes=counts, objects=counts, seconds=amounts, share=st.floats(0, 1), usd=amounts
)
errors = st.builds(NightshiftError, some_text, detail=st.none() | some_text, hint=st.none() | some_text)
refusals = st.builds(Refusal, guard=some_text, message=some_text, hint=some_text)
tables = st.builds(
    TableResult,
    table=some_text,
    status=st.sampled_from(Status),
    cutoff=st.none() | times,
    archived_rows=counts,
    deleted_rows=counts,
    objects=counts,
    bytes=counts,
    seconds=amounts,
    oldest_overdue=st.none() | times,
    partitions_dropped=counts,
    vacuumed=st.booleans(),
    refusal=st.none() | refusals,
    estimate=st.none() | estimates,
    warnings=st.lists(some_text, max_size=8).map(tuple),
    keys=st.lists(some_text, max_size=3).map(tuple),
    error=st.none() | errors,
)
attachments = st.builds(
    Attachment, filename=some_text, content=st.just(b""), rows=counts, total_rows=counts, table=st.none() | some_text
)
restored = st.builds(
    RestoreResult,
    status=st.sampled_from(Status),
    table=some_text,
    into=st.none() | some_text,
    into_original=st.booleans(),
    **dict.fromkeys(("rows", "existing", "objects", "already", "remaining", "bytes"), counts),
    seconds=amounts,
    columns=st.lists(some_text, max_size=8).map(tuple),
    damaged=st.lists(st.builds(DamagedObject, key=some_text, damage=some_text, what=some_text), max_size=8).map(tuple),
    hold_until=st.none() | times,
    refusal=st.none() | refusals,
)
results = (
    restored
    | st.builds(
        CleanupResult,
        tables=st.lists(tables, max_size=6).map(tuple),
        attachments=st.lists(attachments, max_size=2).map(tuple),
        orphans_removed=counts,
    )
    | st.builds(RunRefused, reason=some_text)
)
outcomes = st.tuples(results, st.none()) | st.tuples(st.none() | results, errors)
languages: st.SearchStrategy[Language] = st.sampled_from(["ko", "en"])


def texts(message: Message) -> list[str]:
    return [message.text, *(block["text"]["text"] for block in message.blocks)]


def assert_sound(message: Message) -> None:
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
        assert not BARE.search(text), text
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
    outcome: tuple[CleanupResult | RestoreResult | RunRefused | None, Exception | None],
    job: str,
    language: Language,
    dry_run: bool,
    attempt: int,
    request_id: str | None,
) -> None:
    report = Report(job, AS_OF, dry_run, 1234, outcome[0], outcome[1], attempt, request_id)
    message = render(report, language, SEOUL)
    assert_sound(message)
    assert as_text(message)


@pytest.mark.parametrize("worst", WORST, ids=[f"{piece[:8]!a}" for piece in HOSTILE])
@pytest.mark.parametrize("status", Status)
def test_the_worst_text_everywhere(worst: str, status: Status) -> None:
    table = TableResult(
        table=worst,
        status=status,
        refusal=Refusal(guard=worst, message=worst, hint=worst),
        warnings=(worst,) * 20,
        keys=(worst,),
        objects=1,
        error=NightshiftError(worst, detail=worst, hint=worst),
    )
    csv = Attachment(filename=worst, content=b"", rows=1, total_rows=2)
    error = NightshiftError(worst, detail=worst, hint=worst)
    for shown in ((table,), (table,) * 60):
        result = CleanupResult(tables=shown, attachments=(csv,))
        assert_sound(render(Report("cleanup", AS_OF, False, 1, result), "ko", SEOUL))
        assert_sound(render(Report(worst, AS_OF, True, 1, result, error, 2, worst), "en", SEOUL))


@pytest.mark.parametrize("worst", WORST, ids=[f"{piece[:8]!a}" for piece in HOSTILE])
@pytest.mark.parametrize("status", Status)
def test_the_worst_text_everywhere_in_a_restore(worst: str, status: Status) -> None:
    result = RestoreResult(
        status=status,
        table=worst,
        into=worst,
        columns=(worst,) * 20,
        damaged=(DamagedObject(key=worst, damage=worst, what=worst),) * 20,
        refusal=Refusal(guard=worst, message=worst, hint=worst),
    )
    error = NightshiftError(worst, detail=worst, hint=worst)
    assert_sound(render(Report("restore", AS_OF, False, 1, result), "ko", SEOUL))
    assert_sound(render(Report(worst, AS_OF, True, 1, result, error, 2, worst), "en", SEOUL))


def test_a_name_cannot_add_a_line_to_the_report() -> None:
    table = TableResult(table="a\n- 백업 수: 0 rows\u2028x", status=Status.OK, warnings=("b\r\n- 백업 수: 0 rows",))
    seen = as_text(render(Report("cleanup", AS_OF, False, 1, CleanupResult(tables=(table,))), "ko", SEOUL))
    assert [line for line in seen.splitlines() if line.startswith("- 백업 수")] == ["- 백업 수: 0 rows"]


def test_a_mention_is_shown_and_not_made() -> None:
    error = NightshiftError("<!channel> & <@U1>", detail="<!here>")
    message = render(Report("cleanup", AS_OF, False, 1, None, error), "ko", SEOUL)
    assert "&lt;!channel&gt; &amp; &lt;@U1&gt;" in message.blocks[1]["text"]["text"]
    assert "<!channel> & <@U1>" in as_text(message)
    assert [block["text"].get("verbatim") for block in message.blocks] == [None, True, True]


def test_the_text_for_notifications_opens_like_the_message() -> None:
    table = TableResult(table="public.a", status=Status.OK, archived_rows=124)
    tables = tuple(replace(table, table=f"public.t{n}") for n in range(40))
    message = render(Report("cleanup", AS_OF, False, 1, CleanupResult(tables=tables)), "ko", SEOUL)
    assert message.text.startswith("💾 DB Cleanup Report\n- 백업 수: 4,960 rows")
    assert message.text.endswith("…")


@given(text=some_text, limit=st.integers(10, 200))
@example(text="&amp;\u0301" * 9, limit=15)
@example(text="e\u0301" * 300, limit=20)
@example(text="\u0301" * 300, limit=20)
def test_a_cut_never_splits_an_entity(text: str, limit: int) -> None:
    for cut in (prose(text, limit), code(text, limit), fenced(text, limit)):
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
    assert clip(markup, limit) == expected


def test_names_and_details_cannot_leave_their_code_span() -> None:
    assert code("a`b") == "`a'b`"
    assert code("  \n ") == "-"
    assert fenced("a```b`c\nd") == "```\na'''b`c\nd\n```"
    assert prose("run `plan` ```now```") == "run `plan` '''now'''"


def test_plain_undoes_the_markup_and_no_more() -> None:
    assert plain("`a_b` &lt;c&gt; &amp;amp; *d*\n```\ne\n```") == "a_b <c> &amp; *d*\ne"
