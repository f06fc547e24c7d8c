"""`make setup` leaves a command that works from anywhere, without an activated environment or PYTHONPATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from nightshift import __version__
from tests.cli.command import ROOT


def test_the_command_finds_its_checkout(tmp_path: Path) -> None:
    """In a checkout whose path has a space; only the packages from the index are borrowed from ours."""
    checkout = tmp_path / "check out"
    checkout.mkdir()
    shutil.copy(ROOT / "Makefile", checkout)
    for part in ("layers", "functions"):
        (checkout / part).symlink_to(ROOT / part)
    (checkout / "requirements-dev.txt").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    (checkout / ".venv" / ".stamp").touch()
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "PYTHONPATH")}

    subprocess.run(["make", "-s", "setup"], cwd=checkout, env=env, check=True)

    command = checkout / ".venv" / "bin" / "nightshift"
    borrowed = {**env, "PYTHONPATH": sysconfig.get_path("purelib")}
    for arguments, expected in ((["--version"], __version__), (["invoke", "-h"], "nightshift invoke cleanup")):
        done = subprocess.run([command, *arguments], cwd="/", env=borrowed, capture_output=True, text=True, check=True)
        assert expected in done.stdout
