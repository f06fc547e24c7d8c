"""Where `make demo` is shown: a terminal, with frames and bars, or plain lines in a pipe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from nightshift.progress_events import ProgressEvent, ProgressStep

ROWS_A_LINE = 20_000
"""Progress in a pipe: after so many rows, another line."""


def equals(true: bool) -> str:
    """How a verdict reads."""
    return "=" if true else "IS NOT"


class Stage:
    """Where the demo is shown: a terminal, or plain lines in a pipe."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)

    def act(self, title: str) -> None:
        self.console.print(f"\n[bold]{title}[/]")

    def say(self, line: str) -> None:
        self.console.print(f"  {line}", soft_wrap=True)

    def frame(self, title: str, text: str) -> None:
        if self.console.is_terminal:
            self.console.print(Panel(escape(text), title=title, expand=False))
        else:
            self.console.out(title, text, sep="\n", highlight=False)

    def tree(self, lines: Sequence[str]) -> None:
        for number, line in enumerate(lines, 1):
            self.say(("└── " if number == len(lines) else "├── ") + escape(line))

    def table(self, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        table = Table(box=SIMPLE_HEAD if self.console.is_terminal else None, padding=(0, 2))
        for number, name in enumerate(names):
            table.add_column(name, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    @contextmanager
    def progress(self, doing: str) -> Iterator[Callable[[ProgressEvent], None]]:
        """A listener for the archive engine that shows how far it is with what it is `doing`."""
        if not self.console.is_terminal:
            yield _Counter(self.say)
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task(doing, total=None)

            def listen(event: ProgressEvent) -> None:
                if event.step is ProgressStep.PLANNED:
                    bar.update(task, total=event.rows)
                elif event.step is ProgressStep.COMMITTED:
                    bar.advance(task, event.rows)

            yield listen
            bar.update(task, total=bar.tasks[0].completed)  # what was planned was an estimate


class _Counter:
    """The listener where no bar can be drawn: a line now and then."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rows = self._said = 0
        self._lock = threading.Lock()

    def __call__(self, event: ProgressEvent) -> None:
        if event.step is ProgressStep.COMMITTED:
            with self._lock:
                self._rows += event.rows
                if self._rows - self._said >= ROWS_A_LINE:
                    self._said = self._rows
                    self._say(f"committed {self._rows:,} rows so far")
