"""Counts rows that the database refuses to delete and a run leaves, and names some of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from nightshift.errors import NightshiftError

MOST_REFUSED = 2000
"""Rows that a run leaves out one by one, a table. Where the database refuses more it is no matter of single rows."""

MOST_REFUSED_ALONE = 20
"""The same in SQLite, where each costs a chunk for every halving."""

MOST_WHOLE = 10
"""Chunks that are left whole before the run gives the table up."""

MOST_NAMED = 20
"""Refused rows that are named, a table."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows of one chunk that are left out.

    Attributes:
        rows: how many are known to be refused.
        but: SQL to put behind a condition, so that it does not hold for them.
        named: some of them, by their keys, each with the database's words.
        cut: whether rows beyond them were not tried, and are left out, too.
    """

    rows: int
    but: str
    named: tuple[str, ...]
    cut: bool = False


@dataclass(slots=True)
class LeftOutRows:
    """Counters of a table's rows that the database refused to delete, shared by its workers.

    Attributes:
        rows: known by name or place.
        named: some of them.
        whole: chunks that were left as a whole, or in part without having been tried.
        first: the database's first refusal.
    """

    rows: int = 0
    named: list[str] = field(default_factory=list)
    whole: int = 0
    first: NightshiftError | None = None

    def add_rows(self, left: LeftOut) -> None:
        """Count the rows that a chunk left out."""
        self.rows += left.rows
        self.named += left.named[: MOST_NAMED - len(self.named)]
        self.whole += left.cut

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence about the rows, and one about the chunks that were left."""
        said = []
        if self.rows:
            shown = "; ".join(self.named)
            more = f"; and {self.rows - len(self.named)} more" if self.rows > len(self.named) else ""
            rows = "1 due row was left" if self.rows == 1 else f"{self.rows:,} due rows were left"
            said.append(f"{rows}, which the database refuses to delete: {shown}{more}")
        if self.whole:
            why = self.first.detail or self.first.message if self.first else ""
            said.append(
                f"more rows than are left out one by one were refused: parts of the table were left as they are ({why})"
            )
        return tuple(said)


NOTHING_LEFT = LeftOut(0, "", ())
