"""Runs the shell blocks of the pages, in a checkout of a test's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.postgres import EmbeddedPostgres
from tools.docs.blocks import ROOT

AWS = Path(__file__).with_name("aws_command.py")

# Program → what stands in its place: the real one as far as it works without AWS.
PROGRAMS: Mapping[str, str] = {
    "aws": f'exec "{sys.executable}" "{AWS}" "$@"',
    # Downloads are the network's: the address must be one of AWS's.
    "curl": 'case "${@: -1}" in https://*.amazonaws.com/*) ;; *) exit 6;; esac',
    "duckdb": f"exec \"{sys.executable}\" -c 'import duckdb, sys; duckdb.execute(sys.stdin.read())'",
    # Other targets are only resolved: they have tests of their own.
    "make": 'if [ "$1" = setup ]; then exec {make} -s "$@"; else exec {make} -n "$@"; fi',
}
# --help ends the command once its options are understood.
SAM = f'exec env -u PYTHONPATH SAM_CLI_TELEMETRY=0 "{ROOT}/.venv-sam/bin/sam" "$@" --help'


def blocks_of(page: str, heading: str | None = None) -> list[str]:
    """Returns the shell blocks of a page, or of the section below one heading."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if heading is not None:
        text = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```(?:ba)?sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def make_checkout(directory: Path) -> Path:
    """Creates a checkout in which `make setup` works without the package index."""
    checkout = directory / "nightshift"
    checkout.mkdir()
    for part in ("Makefile", "layers", "functions", "tools"):
        (checkout / part).symlink_to(ROOT / part)
    (checkout / "requirements-dev.txt").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    (checkout / ".venv" / ".stamp").touch()
    _write_program(checkout / ".venv-sam" / "bin" / "sam", SAM)
    psql = EmbeddedPostgres().psql_path
    for name, script in PROGRAMS.items():
        _write_program(checkout / "bin" / name, script.replace("{make}", str(shutil.which("make"))))
    (checkout / "bin" / "psql").symlink_to(psql)
    return checkout


def _write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


@dataclass(frozen=True)
class Shell:
    """A shell in a checkout.

    Attributes:
        env: of the deployment, as far as the blocks do not set it.
    """

    checkout: Path
    env: Mapping[str, str]

    def run(self, *blocks: str, replace: Mapping[str, str] | None = None) -> str:
        """Runs blocks as one script that ends at the first error; returns what it printed.

        Args:
            replace: placeholder → value; each must occur.
        """
        script = "\n".join(blocks)
        for placeholder, value in (replace or {}).items():
            assert placeholder in script, f"the page no longer has {placeholder}"
            script = script.replace(placeholder, value)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        borrowed = {
            "PATH": f"{self.checkout / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": sysconfig.get_path("purelib"),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.checkout,
            env={**inherited, **self.env, **borrowed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"exit status {done.returncode}\n{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout
