"""The table of the jobs: what each does, when it runs, and whether it runs by default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.docs import markdown
from tools.docs.template import functions, load_template

JOB_PAGES = Path(__file__).resolve().parents[2] / "docs" / "jobs"
DAYS = {"MON": "Monday", "TUE": "Tuesday", "WED": "Wednesday", "THU": "Thursday", "FRI": "Friday", "SAT": "Saturday"}
DAYS["SUN"] = "Sunday"
STATES = {"ENABLED": "on", "DISABLED": "off"}


def job_table(folder: str) -> str:
    """Returns the table.

    Args:
        folder: where the pages of the jobs lie, relative to the page with the table, e.g. `docs/jobs/`.
    """
    rows = [
        (f"[`{job}`]({folder}{job}.md)", first_sentence(job), _when(function), _default_state(function))
        for job, function in functions().items()
    ]
    return markdown.table(("Job", "What it does", "When", "By default"), rows)


def first_sentence(job: str) -> str:
    """Returns the first sentence of a job's page."""
    _title, text = (JOB_PAGES / f"{job}.md").read_text(encoding="utf-8").split("\n\n", 2)[:2]
    return " ".join(re.split(r"(?<=\.)\s", text)[0].split()).removesuffix(".")


def _event(function: Mapping[str, Any]) -> Mapping[str, Any] | None:
    events = [event["Properties"] for event in function.get("Events", {}).values()]
    return events[0] if events else None


def _when(function: Mapping[str, Any]) -> str:
    event = _event(function)
    if event is None:
        return "on demand"
    if "Pattern" in event:
        return "on an event of `feedback`"
    parameters = load_template()["Parameters"]
    return in_words(parameters[event["ScheduleExpression"]["Ref"]]["Default"])


def _default_state(function: Mapping[str, Any]) -> str:
    event = _event(function)
    if event is None:
        return "–"
    parameter = event["State"]["Ref"]
    return f"{STATES[load_template()['Parameters'][parameter]['Default']]} (`{parameter}`)"


def in_words(expression: str) -> str:
    """Returns a schedule in words.

    Raises:
        ValueError: the schedule is of another form than those of the template.
    """
    match = re.fullmatch(r"cron\((\d+) (\d+|\*) (\*|\?) \* (\?|[A-Z]{3}) \*\)", expression)
    if match is None or (match[3] == "?") == (match[4] == "?"):
        raise ValueError(expression)
    minute, hour, _, day = match.groups()
    if hour == "*":
        return "every hour" if minute == "0" else f"every hour, at minute {minute}"
    time = f"{int(hour):02}:{int(minute):02}"
    return f"every day, {time}" if day == "?" else f"{DAYS[day]}, {time}"
