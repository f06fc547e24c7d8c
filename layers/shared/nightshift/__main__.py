"""Runs the operator's commands: `python -m nightshift`; see `nightshift.cli`."""

from __future__ import annotations

from nightshift.cli.app import cli

if __name__ == "__main__":
    cli(prog_name="nightshift")
