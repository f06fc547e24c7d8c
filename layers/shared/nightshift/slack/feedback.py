"""Renders the message of `feedback`: the report in its established form, then the reasons.

The first paragraph has the established form, line by line. The second paragraph explains the state with every compared
number, the consequences, and other facts about the votes. Rounding never makes a deciding number equal to the number
that it was compared with: `30.04%` is above `30%`, and `30.0%` would not be.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightshift.results.feedback import FeedbackFigures, FeedbackResult, FeedbackState, GroupVotes, show_rating
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import DASH, format_code, format_fact, format_link, format_prose
from nightshift.slack.messages import Block, MessageDraft, header_block, section_block
from nightshift.slack.report import ReportFrame, attempt_lines, refusal_lines, warning_lines

MAX_GROUPS = 3
"""Maximum number of topics or models that are named."""
MAX_UNKNOWN = 5
"""Maximum number of unknown values that are named."""
MAX_NAME = 80
"""Maximum length of the name of a topic, a model or a value, in characters."""
MAX_DIGITS = 4
"""Maximum number of decimals of a percentage. More than one decimal is used only to distinguish two percentages."""
DAY = 24


def render_feedback(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """Returns the message for a run of `feedback`. For a failed run, returns the part below the error."""
    if report.error is not None:
        form = section_block([words.table_failed_above, *_form(result, report, words)])
        return MessageDraft(head=(form, section_block(list(_details(result, report, words)))))
    title = header_block(words.feedback_preview_title if report.dry_run else words.feedback_title)
    if result.refusal is not None:
        return MessageDraft(head=(title, _refused(result, report, words)))
    return MessageDraft(
        head=(title, section_block(_form(result, report, words)), section_block(list(_details(result, report, words)))),
    )


def _form(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> list[str]:
    votes = result.votes
    lines = [
        format_fact(words.likes, f"{votes.likes:,}"),
        format_fact(words.dislikes, f"{votes.dislikes:,}"),
        format_fact(words.total_votes, f"{votes.total:,}"),
        format_fact(words.negative_ratio, DASH if votes.ratio is None else f"{votes.ratio:.1%}"),
        format_fact(words.state, words.states[result.state]),
        format_fact(words.created_at, format_prose(words.format_minute(report.as_of))),
    ]
    if result.dashboard_url:
        lines.append(format_link(result.dashboard_url, words.dashboard))
    return lines


def _details(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    yield format_fact(words.verdict, _verdict(result, words))
    yield from _consequences(result, report, words)
    yield format_fact(words.window, format_prose(_day(result)), note=_hours(result, words))
    yield from _unknown(result, words)
    yield from _history(result, words)
    if result.comments is not None:
        yield format_fact(words.comments, words.pieces.form_of(result.comments))
    yield from _groups(result.worst, words)
    yield from attempt_lines(report, words)
    yield from warning_lines(result.warnings, words)
    if report.dry_run and report.error is None:
        yield words.feedback_preview_note


def _verdict(result: FeedbackResult, words: MessageFormatter) -> str:
    ratio, interval = result.votes.ratio, result.interval
    week = result.week.ratio if result.week else None
    weighed = DASH
    if interval is not None:
        weighed = words.interval.format(
            confidence=_short(interval.confidence),
            low=_percent(interval.low, result.threshold, week),
            high=_percent(interval.high, result.threshold),
        )
    return words.verdicts[result.reason].format(
        ratio=DASH if ratio is None else _percent(ratio, result.threshold),
        threshold=_short(result.threshold),
        interval=weighed,
        week=DASH if week is None else _percent(week, interval.low if interval else None),
        total=words.votes.form_of(result.votes.total),
        min_votes=words.votes.form_of(result.min_votes),
        unknown=words.ratings.form_of(result.unknown),
    )


def _consequences(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """Yields the actions that were started, or the reasons why no action was started."""
    retraining = result.state is FeedbackState.RETRAINING
    if result.decided_before:
        again = retraining and not result.started and report.error is None
        yield f"{words.decided_before} {words.not_started_again}" if again else words.decided_before
    if result.since is not None:
        yield format_fact(words.counted_now, _figures(result.since, words))
    if result.on_record is not None:
        yield format_fact(words.on_record, _figures(result.on_record, words))
    if result.started:
        yield words.retraining_started
    elif retraining and report.error is not None:
        yield words.start_unknown
    if result.cooling_until is not None:
        until = format_prose(words.format_moment(result.cooling_until))
        yield format_fact(words.cooling, words.until.format(moment=until))
    if retraining and result.decision:
        yield format_fact(words.decision, format_code(result.decision))


def _figures(figures: FeedbackFigures, words: MessageFormatter) -> str:
    """Returns the figures of a decision, or of another count of the same votes, on one line."""
    votes = figures.votes
    compared = words.figures.format(
        likes=f"{votes.likes:,}",
        dislikes=f"{votes.dislikes:,}",
        ratio=DASH if votes.ratio is None else _percent(votes.ratio, figures.threshold),
        threshold=_short(figures.threshold),
        min_votes=words.votes.form_of(figures.min_votes),
        confidence=_short(figures.confidence),
    )
    unknown = [f"{words.unknown_ratings} {figures.unknown:,}"] if figures.unknown else []
    return " · ".join([*([words.states[figures.state]] if figures.state else []), compared, *unknown])


def _unknown(result: FeedbackResult, words: MessageFormatter) -> Iterator[str]:
    """Yields the number of ratings that the settings do not name, with the most frequent values."""
    if not (result.unknown or result.unknown_ratings):
        return
    named = []
    for one in result.unknown_ratings[:MAX_UNKNOWN]:
        resembles = f" ({words.resembles.format(value=format_code(one.resembles, MAX_NAME))})" if one.resembles else ""
        named.append(f"{format_code(show_rating(one.value), MAX_NAME)} {one.count:,}{resembles}")
    shown = f" – {', '.join(named)}" if named else ""
    yield f"⚠️ {words.unknown_ratings}: {words.ratings.form_of(result.unknown)}{shown}"


def _history(result: FeedbackResult, words: MessageFormatter) -> Iterator[str]:
    now = result.votes.ratio
    before = result.previous.ratio if result.previous else None
    if now is not None and before is not None:
        points = round(100 * (now - before), 1)
        phrase = words.points_up if points > 0 else words.points_down if points < 0 else words.same_size
        change = words.from_to.format(before=f"{before:.1%}", now=f"{now:.1%}")
        yield format_fact(words.change, phrase.format(points=f"{abs(points):.1f}"), note=change)
    if result.week is not None and result.week.ratio is not None:
        yield format_fact(words.week, f"{result.week.ratio:.1%}", note=words.votes.form_of(result.week.total))
    if result.late:
        yield format_fact(words.late, words.pieces.form_of(result.late))


def _groups(worst: tuple[GroupVotes, ...], words: MessageFormatter) -> Iterator[str]:
    if worst:
        yield f"{words.worst_groups}:"
    for group in worst[:MAX_GROUPS]:
        line = words.group.format(
            group=format_code(group.group, MAX_NAME),
            ratio=DASH if group.votes.ratio is None else f"{group.votes.ratio:.1%}",
            total=words.votes.form_of(group.votes.total),
            dislikes=f"{group.votes.dislikes:,}",
        )
        yield f"• {line}"
    if len(worst) > MAX_GROUPS:
        yield words.entries_left_out.form_of(len(worst) - MAX_GROUPS)


def _refused(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> Block:
    lines = [
        *refusal_lines(result.refusal, words),
        format_fact(words.table, format_code(result.table)),
        format_fact(words.window, format_prose(_day(result)), note=_hours(result, words)),
        format_fact(words.created_at, format_prose(words.format_minute(report.as_of))),
        *attempt_lines(report, words),
    ]
    return section_block(lines)


def _day(result: FeedbackResult) -> str:
    """Returns the date of the window in the window's time zone, with the name of the zone."""
    return f"{result.start.date().isoformat()} {result.start.tzname() or ''}".rstrip()


def _hours(result: FeedbackResult, words: MessageFormatter) -> str:
    """Returns the length of the window in elapsed hours; empty for 24 hours. A clock change alters a day's length."""
    hours = (result.end.timestamp() - result.start.timestamp()) / 3600
    return "" if hours == DAY else words.long_or_short_day.format(hours=f"{hours:,g}")


def _percent(share: float, *others: float | None) -> str:
    """Returns a percentage with one decimal, or with more decimals if `others` would otherwise look equal."""
    for digits in range(1, MAX_DIGITS):
        shown = f"{share:.{digits}%}"
        if all(other is None or other == share or f"{other:.{digits}%}" != shown for other in others):
            return shown
    return f"{share:.{MAX_DIGITS}%}"


def _short(share: float) -> str:
    """Returns a setting as a percentage, without rounding: `30%`, `32.5%`."""
    return f"{share * 100:.6g}%"
