"""Converts a command's failure to an exit status and one message on stderr.

The message has a traceback only with `--verbose`, and never has a secret. Errors of nightshift contain no secrets. For
an unexpected error, the message has only the name of its class.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import IO, Any

import click

from nightshift.errors import InvalidEvent, InvalidSettings, NightshiftError
from nightshift.results.common import RunStatus


class ExitCode(IntEnum):
    """Exit statuses of the commands, on which scripts may rely."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    REFUSED = 4
    INTERRUPTED = 130


_BY_STATUS = {
    RunStatus.FAILED: ExitCode.FAILED,
    RunStatus.PARTIAL: ExitCode.PARTIAL,
    RunStatus.REFUSED: ExitCode.REFUSED,
}


def exit_code(status: str) -> ExitCode:
    """Returns the exit status of a run that ended with `status`."""
    return _BY_STATUS.get(RunStatus(status), ExitCode.DONE)


class CommandFailure(click.ClickException):
    """A `NightshiftError` as an exception of click: message, detail and hint on stderr, and an exit status."""

    exit_code = ExitCode.FAILED

    def __init__(self, error: NightshiftError) -> None:
        super().__init__(error.message)
        self.error = error

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"{click.style('error:', fg='red')} {error_lines(self.error)}", file=file, err=True)


class UsageFailure(CommandFailure):
    """The operator's input, on the command line or in the environment, is invalid."""

    exit_code = ExitCode.USAGE


class StoppedByUser(click.ClickException):
    """The operator pressed Ctrl-C. The message appears without click's `Error:`."""

    exit_code = ExitCode.INTERRUPTED

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=True)


class DeclinedByUser(StoppedByUser):
    """The operator answered no to a question."""

    exit_code = ExitCode.REFUSED


_STATUS = {
    ExitCode.USAGE: "not_understood",
    ExitCode.REFUSED: RunStatus.REFUSED.value,
    ExitCode.INTERRUPTED: "interrupted",
}


def as_answer(failure: click.ClickException) -> dict[str, Any]:
    """Returns a failure as the JSON answer of a command: the error, and the result of the work before the failure."""
    answer: dict[str, Any] = {"status": _STATUS.get(ExitCode(failure.exit_code), RunStatus.FAILED.value)}
    error = failure.error if isinstance(failure, CommandFailure) else NightshiftError(failure.format_message())
    parts = {"message": error.message, "detail": error.detail, "hint": error.hint}
    answer["error"] = {name: value for name, value in parts.items() if value}
    if error.result is not None and hasattr(error.result, "to_json"):
        answer["result"] = error.result.to_json()
    return answer


def error_lines(error: NightshiftError) -> str:
    """Returns the message, detail and hint of an error, with all lines but the first indented."""
    lines = [error.message, *(error.detail or "").splitlines()]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    return "\n  ".join(lines)


def refusal_lines(message: str, remedy: str) -> str:
    """Returns the message and the hint of a guard's refusal, in the form of `error_lines`."""
    return "\n  ".join([message, f"hint: {remedy}"] if remedy else [message])


@contextmanager
def handle_errors(*, verbose: bool) -> Iterator[None]:
    """Converts every exception of a command to a message and an exit status."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
        raise
    except (KeyboardInterrupt, click.Abort):
        raise StoppedByUser("interrupted") from None
    except (InvalidEvent, InvalidSettings) as exc:
        raise UsageFailure(exc) from exc
    except NightshiftError as exc:
        raise CommandFailure(exc) from exc
    except Exception as exc:
        if verbose:
            traceback.print_exc()
        raise CommandFailure(_unexpected(exc)) from exc


def _unexpected(exc: Exception) -> NightshiftError:
    from botocore.exceptions import BotoCoreError, ClientError
    from sqlalchemy.exc import DBAPIError

    from nightshift.aws_failures import unusable_client
    from nightshift.database.connect import refused_statement

    if isinstance(exc, DBAPIError):
        return refused_statement(exc)
    if isinstance(exc, BotoCoreError | ClientError):
        return unusable_client("AWS", exc)
    return NightshiftError(
        "an unexpected error", detail=type(exc).__name__, hint="nightshift --verbose … has its trace"
    )
