"""A cleanup run in a process of its own, that reports every step and can be held or killed at any of them.

The child announces a step on a pipe *before* it dies there, so that a test proves where it was killed:

    run = CleanupChild(environment, {}, kill_at=Step.UPLOADED, occurrence=2)
    assert run.wait() == -signal.SIGKILL
    assert run.steps[-1] == Step.UPLOADED

Run as a module, this file is the child's program.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from nightshift.archive.events import ChunkEvent, Step

ROOT = Path(__file__).resolve().parents[2]
IMPORT_PATH = [str(ROOT), str(ROOT / "functions"), str(ROOT / "layers" / "shared")]


class CleanupChild:
    """A running cleanup.

    Args:
        env: variables to set on top of ours.
        event: what the handler receives.
        kill_at: the child sends itself SIGKILL at this step.
        hold_at: the child stands still at this step until `resume` or `kill`.
        occurrence: 1 for the first time that step happens, over all workers.

    Attributes:
        events: the steps announced so far, each with `step`, `table`, `rows`, `bytes`, `keys`.
        answer: what the handler returned, once it has.
        error: `class: message` of what it raised, if it did.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        event: object,
        *,
        kill_at: Step | None = None,
        hold_at: Step | None = None,
        occurrence: int = 1,
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.answer: dict[str, Any] | None = None
        self.error: str | None = None
        self._news: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        reports, report_fd = os.pipe()
        control_fd, self._control = os.pipe()
        plan = {
            "event": event,
            "kill_at": kill_at,
            "hold_at": hold_at,
            "occurrence": occurrence,
            "reports": report_fd,
            "control": control_fd,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.child", json.dumps(plan)],
            env={**os.environ, **env, "PYTHONPATH": os.pathsep.join(IMPORT_PATH)},
            cwd=ROOT,
            pass_fds=(report_fd, control_fd),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.close(report_fd)
        os.close(control_fd)
        self._log: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_reports, args=(reports,), daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def steps(self) -> list[Step]:
        return [Step(event["step"]) for event in self.events]

    @property
    def log(self) -> str:
        """What the child wrote to stdout and stderr."""
        return "".join(self._log)

    def await_step(self, step: Step) -> None:
        """Return once this step is announced; fails if the child ends without it."""
        while (news := self._news.get()) != step:
            if news is None:
                raise AssertionError(f"the run ended without reaching {step!r}:\n{self.log}")

    def resume(self) -> None:
        """Let a child that stands still go on."""
        os.write(self._control, b"!")

    def kill(self) -> int:
        """`kill -9`, and its exit status."""
        self.process.kill()
        return self.wait()

    def wait(self) -> int:
        """Exit status: 0 answered, 1 raised, `-signal.SIGKILL` killed. All reports have arrived by then."""
        status = self.process.wait()
        for reader in self._readers:
            reader.join()
        if self._control >= 0:
            os.close(self._control)
            self._control = -1
        return status

    def _read_reports(self, fd: int) -> None:
        with os.fdopen(fd, encoding="utf-8") as lines:
            for line in lines:
                report = json.loads(line)
                self.answer = report.get("answer", self.answer)
                self.error = report.get("error", self.error)
                if "step" in report:
                    self.events.append(report)
                    self._news.put(Step(report["step"]))
        self._news.put(None)

    def _read_log(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self._log.extend(lines)


class _Reporter:
    """The child's listener."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._times: dict[Step, int] = {}

    def __call__(self, event: ChunkEvent) -> None:
        with self._lock:
            self._times[event.step] = times = self._times.get(event.step, 0) + 1
            self.report(step=event.step, table=event.table, rows=event.rows, bytes=event.bytes, keys=list(event.keys))
            if times != self._plan["occurrence"]:
                return
            if event.step == self._plan["kill_at"]:
                os.kill(os.getpid(), signal.SIGKILL)
        if event.step == self._plan["hold_at"]:
            os.read(self._plan["control"], 1)

    def report(self, **facts: object) -> None:
        os.write(self._plan["reports"], json.dumps(facts).encode() + b"\n")


def _main() -> int:
    from cleanup.job import cleanup
    from nightshift.runtime import Wiring, run_job

    plan = cast(dict[str, Any], json.loads(sys.argv[1]))
    reporter = _Reporter(plan)
    wiring = Wiring.from_env(os.environ, listener=reporter)
    try:
        answer = run_job("cleanup", plan["event"], None, lambda: wiring, cleanup)
    except Exception as exc:
        reporter.report(error=f"{type(exc).__name__}: {exc}")
        raise
    reporter.report(answer=answer)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
