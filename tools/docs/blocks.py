"""Fills the generated blocks of README.md and docs/.

A block lies between `<!-- generated: NAME ARGUMENT -->` and `<!-- /generated -->`. `BLOCKS` maps each name to the
function that returns its Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.docs import code, commands, jobs, settings, template

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(<!-- generated: ([a-z-]+)(?: ([^>]+?))? -->\n).*?(<!-- /generated -->)", re.DOTALL)

BLOCKS: Mapping[str, Callable[[str], str]] = {
    "alarms": lambda _: template.alarm_table(),
    "commands": lambda _: commands.help_pages(),
    "exit-statuses": lambda _: commands.exit_status_table(),
    "functions": lambda _: template.function_table(),
    "jobs": jobs.job_table,
    "metrics": lambda _: code.metric_table(),
    "outputs": lambda _: template.output_table(),
    "own-tables": lambda _: code.own_table_table(),
    "packages": lambda _: code.package_table(),
    "parameters": template.parameter_table,
    "settings": settings.settings_table,
    "steps": lambda _: code.step_list(),
}


def pages() -> list[Path]:
    """Returns README.md and every page below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def fill_blocks(text: str) -> str:
    """Returns a page's text with every block generated anew.

    Raises:
        KeyError: a block has an unknown name.
    """

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}{BLOCKS[match[2]](match[3] or '').strip()}\n{match[4]}"

    return BLOCK.sub(fill, text)
