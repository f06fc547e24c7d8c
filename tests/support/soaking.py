"""What all soaks share: servers of their own, runs that die at random moments, and a count of how they died."""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol, TypeVar

from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from tests.support.child import JobChild

BUCKET = "soak"
PAUSES = (0.002, 0.02, 0.1)
"""Seconds between the last step that is waited for and the kill, at the most: between two steps there is no event."""
NO_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
"""A dead run's lock goes when the server notices: a run that is to be killed waits until this is 0, or is refused."""


class Ground(NamedTuple):
    """What a deployment stands on: the arguments of `House`, and of what is made of it."""

    env: dict[str, str]
    s3: EmbeddedS3
    slack: SlackServer
    directory: Path


class Tally(Protocol):
    """What a soak has seen."""

    def lines(self) -> list[str]:
        """For people."""


T = TypeVar("T", bound=Tally)


@dataclass
class Kills:
    """How runs ended that were to be killed.

    Attributes:
        steps: those that were killed, by the step that they had announced last.
        completed: how many were through before their moment came.
    """

    steps: Counter[str] = field(default_factory=Counter)
    completed: int = 0

    @property
    def total(self) -> int:
        return self.steps.total()

    def lines(self) -> list[str]:
        steps = ", ".join(f"{count} {step}" for step, count in self.steps.most_common())
        return [
            f"kills         {self.total} (last step before each: {steps})",
            f"not killed    {self.completed} runs were done before their moment came",
        ]

    def kill(self, child: JobChild, *, kind: str = "") -> bool:
        """Kill a run and count it; False: it was through, and well. `kind` tells kinds of runs apart.

        Raises:
            AssertionError: it had ended, and not well.
        """
        status = child.kill()
        if status == -signal.SIGKILL:
            self.steps[kind + (child.steps[-1] if child.steps else "start")] += 1
            return True
        assert status == 0, child.log
        self.completed += 1
        return False


def await_step(child: JobChild, step: int, chance: Random, pauses: Sequence[float] = PAUSES) -> None:
    """Wait until a run has announced so many steps, and a moment longer; or has ended."""
    while len(child.events) < step and child.process.is_alive():
        child.process.join(0.001)
    child.process.join(chance.choice(pauses) * chance.random())


def soak(prog: str, arguments: Sequence[str], play: Callable[[argparse.Namespace, Ground], T], **defaults: int) -> T:
    """Run a soak from the command line, and print what it has seen.

    Args:
        prog: its module.
        play: gets the chosen options and the ground; a broken promise raises.
        defaults: the options, all whole numbers; `seed` is one of each.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, default in {**defaults, "seed": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=" ")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    with _ground() as ground:
        tally = play(chosen, ground)
    print("\n".join([*tally.lines(), f"seconds       {time.monotonic() - began:.0f}"]))
    return tally


@contextmanager
def _ground() -> Iterator[Ground]:
    with (
        EmbeddedPostgres(settings=DISPOSABLE) as postgres,
        EmbeddedS3() as s3,
        SlackServer() as slack,
        tempfile.TemporaryDirectory() as directory,
    ):
        s3.create_bucket(BUCKET)
        env = {
            **s3.env,
            "DATABASE_URL": postgres.create_database("soak"),
            "ARCHIVE_BUCKET": BUCKET,
            "SLACK_BOT_TOKEN": "xoxb-soak",
            "SLACK_CHANNEL": CHANNEL,
            "SLACK_API_URL": slack.url,
            "POWERTOOLS_METRICS_DISABLED": "true",
        }
        yield Ground(env, s3, slack, Path(directory))
