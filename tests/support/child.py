"""A job's run in a process of its own, that reports every step and can be held or killed at any of them.

The child announces a step on a pipe *before* it dies there, so that a test proves where it was killed:

    run = JobChild(environment, {}, kill_at=Step.UPLOADED, occurrence=2)
    assert run.wait() == -signal.SIGKILL
    assert run.steps[-1] == Step.UPLOADED

Children are forked from a server that has imported everything (`tests/support/preloaded.py`): a run begins within
some milliseconds, not after a second of imports.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from nightshift.progress_events import ProgressEvent, ProgressStep
from nightshift.results.common import JobResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices

ROOT = Path(__file__).resolve().parents[2]
IMPORT_PATH = [str(ROOT), str(ROOT / "functions"), str(ROOT / "layers" / "shared")]

Work = Callable[[JobRun, RunServices], JobResult]

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(["tests.support.preloaded"])


@dataclass(frozen=True, slots=True)
class Plan:
    """What a child is to do; everything in it must pickle.

    Attributes:
        job: the job's name, as its folder under `functions/` is called.
        env: the child's whole environment.
        work: the job's function; None: the real one.
        hook: called at every step, after it was announced.
        log: the file that receives stdout and stderr.
    """

    job: str
    env: dict[str, str]
    event: object
    kill_at: ProgressStep | None
    hold_at: ProgressStep | None
    occurrence: int
    work: Work | None
    hook: Callable[[ProgressEvent], None] | None
    log: str


class JobChild:
    """A running job.

    Args:
        env: variables to set on top of ours.
        event: what the handler receives.
        kill_at: the child sends itself SIGKILL at this step.
        hold_at: the child stands still at this step until `resume` or `kill`.
        occurrence: 1 for the first time that step happens, over all workers.
        job, work, hook: see `Plan`.

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
        job: str = "cleanup",
        kill_at: ProgressStep | None = None,
        hold_at: ProgressStep | None = None,
        occurrence: int = 1,
        work: Work | None = None,
        hook: Callable[[ProgressEvent], None] | None = None,
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.answer: dict[str, Any] | None = None
        self.error: str | None = None
        self._interrupted = threading.Event()
        self._news: queue.SimpleQueue[ProgressStep | None] = queue.SimpleQueue()
        log, name = tempfile.mkstemp(prefix="nightshift-child-", suffix=".log")
        os.close(log)
        self._log = Path(name)
        weakref.finalize(self, self._log.unlink)
        self._reports, reports = _fork.Pipe(duplex=False)
        gate, self._gate = _fork.Pipe(duplex=False)
        plan = Plan(job, {**os.environ, **env}, event, kill_at, hold_at, occurrence, work, hook, name)
        self.process = _fork.Process(target=_main, args=(plan, reports, gate), daemon=True)
        _start(self.process)
        reports.close()
        gate.close()
        self._reader = threading.Thread(target=self._read_reports, daemon=True)
        self._reader.start()

    @property
    def steps(self) -> list[ProgressStep]:
        return [ProgressStep(event["step"]) for event in self.events]

    @property
    def log(self) -> str:
        """What the child wrote to stdout and stderr."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def await_step(self, step: ProgressStep, occurrence: int = 1) -> None:
        """Return once this step was announced that often from now on; fails if the child ends without it."""
        for _ in range(occurrence):
            while (news := self._news.get()) != step:
                if news is None:
                    raise AssertionError(f"the run ended without reaching {step!r}:\n{self.log}")

    def resume(self) -> None:
        """Let a child that stands still go on."""
        self._gate.send(True)

    def kill(self) -> int:
        """`kill -9`, and its exit status."""
        self.process.kill()
        return self.wait()

    def interrupt(self, number: signal.Signals) -> None:
        """Send the child SIGINT or SIGTERM, and return once its main thread has noticed."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)
        self._interrupted.wait()

    def wait(self) -> int:
        """Exit status: 0 answered, 1 raised, `-signal.SIGKILL` killed. All reports have arrived by then."""
        self.process.join()
        self._reader.join()
        for end in (self._gate, self._reports):
            end.close()
        assert self.process.exitcode is not None
        return self.process.exitcode

    def _read_reports(self) -> None:
        while True:
            try:
                report = self._reports.recv()
            except EOFError:
                break
            self.answer = report.get("answer", self.answer)
            self.error = report.get("error", self.error)
            if "interrupted" in report:
                self._interrupted.set()
            if "step" in report:
                self.events.append(report)
                self._news.put(report["step"])
        self._interrupted.set()
        self._news.put(None)


def _start(process: multiprocessing.process.BaseProcess) -> None:
    """Fork a child; the first one starts the server, which finds our packages by PYTHONPATH."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(IMPORT_PATH)
    try:
        process.start()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class _Reporter:
    """The child's listener."""

    def __init__(self, plan: Plan, reports: Connection, gate: Connection) -> None:
        self._plan = plan
        self._reports = reports
        self._gate = gate
        self._lock = threading.Lock()
        self._times: dict[ProgressStep, int] = {}

    def __call__(self, event: ProgressEvent) -> None:
        with self._lock:
            self._times[event.step] = times = self._times.get(event.step, 0) + 1
            self.report(step=event.step, table=event.table, rows=event.rows, bytes=event.bytes, keys=list(event.keys))
            if self._plan.kill_at == event.step and times == self._plan.occurrence:
                os.kill(os.getpid(), signal.SIGKILL)
        if self._plan.hook is not None:
            self._plan.hook(event)
        if self._plan.hold_at == event.step and times == self._plan.occurrence:
            self._gate.recv()

    def interrupted(self, _number: int, _frame: FrameType | None) -> None:
        """What Python does on Ctrl-C, announced."""
        self.report(interrupted=True)
        raise KeyboardInterrupt

    def report(self, **facts: object) -> None:
        self._reports.send(facts)


def _main(plan: Plan, reports: Connection, gate: Connection) -> None:
    """The child's program."""
    from nightshift.run_services import RunWiring
    from nightshift.runtime import run_job

    log = os.open(plan.log, os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.environ.clear()
    os.environ.update(plan.env)
    reporter = _Reporter(plan, reports, gate)
    signal.signal(signal.SIGINT, reporter.interrupted)
    wiring = RunWiring(os.environ, listener=reporter)
    try:
        answer = run_job(plan.job, plan.event, None, wiring, work=plan.work)
    except BaseException as exc:
        reporter.report(error=f"{type(exc).__name__}: {exc}")
        raise
    reporter.report(answer=answer)
