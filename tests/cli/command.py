"""Runs `nightshift …` beside a house: in this process, or as people do, in one of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from nightshift.cli.app import cli
from tests.support.handler import environ_of
from tests.support.house import House

ROOT = Path(__file__).resolve().parents[2]
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
IMPORT_PATH = os.pathsep.join(str(ROOT / part) for part in ("layers/shared", "functions"))


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """stdout, which must be one JSON value and nothing else."""
        return json.loads(self.stdout)


def nightshift(of: House | Mapping[str, str], *arguments: str, stdin: str | None = None) -> Said:
    """Run a command in this process."""
    with environ_of(of.env if isinstance(of, House) else of):
        found = CliRunner().invoke(cli, arguments, input=stdin, prog_name="nightshift")
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return Said(found.exit_code, found.stdout, found.stderr)


def environment(of: House | Mapping[str, str]) -> dict[str, str]:
    """The environment of a process: ours, the house's, and where our packages are."""
    return {**os.environ, **(of.env if isinstance(of, House) else of), "PYTHONPATH": IMPORT_PATH}


def process(of: House | Mapping[str, str], *arguments: str, stdin: str | None = None) -> Said:
    """Run `python -m nightshift` with pipes on all sides."""
    done = subprocess.run(
        [sys.executable, "-m", "nightshift", *arguments],
        env=environment(of),
        cwd="/",
        input=stdin or "",
        capture_output=True,
        text=True,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Shown:
    """What a terminal showed: stdout and stderr, as they came.

    Attributes:
        raw: with the sequences that colour it and move the cursor.
    """

    code: int
    raw: str

    @property
    def screen(self) -> str:
        """Everything that was ever to be read there."""
        return _SEQUENCE.sub("", self.raw)


def terminal(of: House | Mapping[str, str], *arguments: str, typed: str = "", columns: int = 200) -> Shown:
    """Run `python -m nightshift` on a terminal of its own, on which `typed` was typed ahead."""
    screen, line = pty.openpty()
    termios.tcsetwinsize(line, (50, columns))
    os.write(screen, typed.encode())
    env = {**environment(of), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "nightshift", *arguments]
    with subprocess.Popen(command, env=env, cwd="/", stdin=line, stdout=line, stderr=line) as running:
        os.close(line)
        shown = b"".join(iter(lambda: _read(screen), b""))
    os.close(screen)
    return Shown(running.returncode, shown.decode().replace("\r\n", "\n"))


def _read(screen: int) -> bytes:
    """What there is next; nothing once the other side is closed, which Linux calls an error."""
    try:
        return os.read(screen, 1 << 16)
    except OSError:
        return b""
