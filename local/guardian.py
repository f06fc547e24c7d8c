"""A process that outlives its parent just long enough to clean up after it.

`Guarded` starts a server below a small guardian process. However the parent ends (normally, by Ctrl-C, or by
`kill -9`), the guardian sees its end of a pipe close, stops the server and removes the directories that it was
told to remove. `PR_SET_PDEATHSIG` was rejected: it follows the parent's *thread*, exists on Linux alone, and
cannot remove a directory.

This file is also the guardian's program: it is run by path, in isolated mode, and imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

STOP_PATIENCE_S = 20.0
"""How long a server may take to stop by itself before it is killed."""

POLL_S = 0.1
"""How often the guardian looks whether the server or the parent is gone."""


class Guarded:
    """A server process that cannot outlive this one.

    Args:
        command: program and arguments.
        log: file that receives the server's stdout and stderr; its directory is the server's working directory.
        user: numeric user and group to run as; None: ours.
        env: the server's whole environment; None: ours.
        stop_signal: asks the server to stop.
        remove: directories to remove once the server has stopped.
        pass_fds: file descriptors that the server inherits, e.g. a listening socket.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        user: tuple[int, int] | None = None,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        remove: Sequence[Path] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        plan = {
            "command": list(command),
            "log": str(log),
            "user": user,
            "env": dict(os.environ if env is None else env),
            "stop_signal": int(stop_signal),
            "remove": [str(path) for path in remove],
            "fds": list(pass_fds),
        }
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=pass_fds,
            start_new_session=True,  # Ctrl-C in the terminal is for the parent; it closes the pipe in its own time
        )
        self._tell(json.dumps(plan))
        self.pid = self._await_start()

    @property
    def running(self) -> bool:
        """Returns whether the server still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def restart(self, stop_signal: signal.Signals) -> None:
        """Stop the server with this signal and start it again with the same command."""
        self._tell(str(int(stop_signal)))
        self.pid = self._await_start()

    def stop(self) -> None:
        """Stop the server, remove its directories, and wait until both are done."""
        assert self._guardian.stdin is not None and self._guardian.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._guardian.stdin.close()
        self._guardian.wait()
        self._guardian.stdout.close()

    def _tell(self, line: str) -> None:
        assert self._guardian.stdin is not None
        self._guardian.stdin.write(line.encode() + b"\n")
        self._guardian.stdin.flush()

    def _await_start(self) -> int:
        assert self._guardian.stdout is not None
        answer = self._guardian.stdout.readline().split()
        if not answer:
            self._guardian.wait()
            raise ChildProcessError("the guardian could not start the server; its own error is on stderr")
        return int(answer[0])


class _Guardian:
    """The guardian's side of the pipe."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.parent = os.getppid()
        self.server = self._start()

    def watch(self) -> None:
        """Restart the server whenever the parent sends a signal's number, until it closes the pipe or is gone."""
        while os.getppid() == self.parent:
            self.server.poll()
            if not select.select([0], [], [], POLL_S)[0]:
                continue
            request = os.read(0, 64)
            if not request:
                return
            self._stop(signal.Signals(int(request)))
            self.server = self._start()

    def clean_up(self) -> None:
        self._stop(signal.Signals(self.plan["stop_signal"]))
        for path in self.plan["remove"]:
            shutil.rmtree(path, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        uid, gid = self.plan["user"] or (None, None)
        with open(self.plan["log"], "ab") as log:
            server = subprocess.Popen(
                self.plan["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=os.path.dirname(self.plan["log"]),  # ours may be closed to the server's user
                env=self.plan["env"],
                process_group=0,
                user=uid,
                group=gid,
                extra_groups=None if uid is None else [],
                pass_fds=self.plan["fds"],
            )
        print(server.pid, flush=True)
        return server

    def _stop(self, how: signal.Signals) -> None:
        if self.server.poll() is None:
            self.server.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(STOP_PATIENCE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.server.pid, signal.SIGKILL)  # whatever it started and left, or itself if it would not stop
        self.server.wait()


def _main() -> None:
    signal.signal(signal.SIGTERM, _leave)
    plan = json.loads(os.fdopen(0, "rb", buffering=0, closefd=False).readline())
    guardian = _Guardian(plan)
    for fd in plan["fds"]:
        os.close(fd)
    try:
        guardian.watch()
    finally:
        guardian.clean_up()


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    _main()
