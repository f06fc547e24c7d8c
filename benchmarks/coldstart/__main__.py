"""`python -m benchmarks.coldstart`: INIT and first answer of each function, beside a bare `import boto3`.

The yardstick carries boto3 as Lambda's own runtime does: the pinned version as pip installs it, with ordinary byte
code, without what `layers/build.py` saves. Each sample is a new execution environment: AWS's emulator, AWS's runtime
client, and what `make build` deploys, on the runtime's own Python where that is at hand. Timed is the first invocation
from outside, INIT included; functions take turns, so that a slow moment of the machine meets all of them. Every
function does a dry run on a small table, with the layers that it is deployed with; `feedback` draws its chart.

`frame` is a function without Arrow: the frame around every job with next to nothing in it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from local.artefact import FUNCTIONS, LAYERS, RUNTIME, Artefact, alone, best, kept, run, runtime_python
from local.chatlog import TABLE, create_conversation_log
from local.lambda_runtime import LambdaRuntime
from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3

OURS = Path(__file__).parent / "functions"
YARDSTICK, FRAME = "yardstick", "frame"
END = datetime(2025, 10, 15, tzinfo=UTC)
DRY_RUN: dict[str, Any] = {"scheduled_time": END.isoformat(), "dry_run": True}
EVENTS: dict[str, dict[str, Any]] = {
    "restore": {**DRY_RUN, "table": TABLE},
    "restore_backup": {**DRY_RUN, "backup": "newest"},
}
DONE_BEFORE = ("cleanup", "backup")
"""Jobs whose work others want to find."""
POLICY = f"""\
[[expiry]]
table = "{TABLE}"
expires_at = "created_at"

[[embedding]]
table = "{TABLE}"
text = "content"
into = "{TABLE}_embedding"
"""
ASKS_FOR_A_POLICY = ("expire_jobs", "reembed")
BUCKET = "cold-start"
AS_DEPLOYED = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
"""As in template.yaml."""


@click.command()
@click.option("--samples", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def main(samples: int, as_json: bool) -> None:
    """Measure cold starts."""
    jobs = sorted(app.parent.name for app in FUNCTIONS.glob("*/app.py"))
    names = [YARDSTICK, FRAME, *jobs]
    artefact = best()
    plain = _as_pip_installs(artefact)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    with _surroundings() as env:
        for number in range(samples + 1):
            for name in names:
                init, whole = _cold(name, plain if name == YARDSTICK else best(name), env)
                if number:  # the first round warms the machine's file cache, as any host's is
                    times[name].append((init, whole))
            click.echo(f"round {number} of {samples}", err=True)
    result = {"on": artefact.label, "samples": samples, "functions": _summary(times)}
    click.echo(json.dumps(result) if as_json else _table(result))


def _as_pip_installs(artefact: Artefact) -> Artefact:
    """The shared layer's packages without any of our care; where functions run from the sources, so does this."""
    compiler = runtime_python()
    if compiler is None:
        return artefact
    lock = LAYERS / "shared" / "requirements.txt"

    def make(target: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        pip += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version", RUNTIME]
        run([*pip, "--target", str(target), "-r", str(lock)], LAYERS, {})
        run([str(compiler), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(target)], LAYERS, {})

    with alone():
        return replace(artefact, layers=(kept("plain", [lock.read_bytes(), str(compiler).encode()], make),))


@contextmanager
def _surroundings() -> Iterator[dict[str, str]]:
    """A database with something archived and something due, and a backup of it."""
    with EmbeddedPostgres() as postgres, EmbeddedS3() as s3, TemporaryDirectory() as folder:
        url = postgres.create_database("cold")
        create_conversation_log(url, 2_000, days=60, end=END)
        s3.create_bucket(BUCKET)
        env = {**s3.env, "DATABASE_URL": url, "ARCHIVE_BUCKET": BUCKET, **AS_DEPLOYED}
        env["RESTORE_DATABASE_URL"] = postgres.create_database("restored")
        for job in DONE_BEFORE:
            with LambdaRuntime(f"{job}.app.lambda_handler", env) as runtime:
                done = runtime.invoke({"scheduled_time": END.isoformat()})
            if done.error_type is not None:
                raise click.ClickException(f"{job} failed: {done.error_message}")
        policy = Path(folder) / "policy.toml"
        policy.write_text(POLICY)
        yield {**env, "POLICY": str(policy)}


def _cold(name: str, artefact: Artefact, env: Mapping[str, str]) -> tuple[float, float]:
    """Milliseconds of INIT, and from the call to its answer."""
    root = OURS if name in (YARDSTICK, FRAME) else None
    if name in ASKS_FOR_A_POLICY:
        env = {**env, "NIGHTSHIFT_CONFIG": env["POLICY"]}
    with LambdaRuntime(f"{name}.app.lambda_handler", env, artefact=artefact, task_root=root) as runtime:
        started = time.perf_counter()
        done = runtime.invoke(EVENTS.get(name, DRY_RUN))
        whole = (time.perf_counter() - started) * 1000
    if done.error_type is not None or done.init_ms is None:
        raise click.ClickException(f"{name} failed: {done.error_type}: {done.error_message}\n{done.logs}")
    return done.init_ms, whole


def _summary(times: Mapping[str, list[tuple[float, float]]]) -> dict[str, Any]:
    whole = {name: median(sample[1] for sample in found) for name, found in times.items()}
    return {
        name: {
            "init_ms": round(median(sample[0] for sample in found)),
            "first_answer_ms": round(whole[name]),
            "min_ms": round(min(sample[1] for sample in found)),
            "max_ms": round(max(sample[1] for sample in found)),
            "ratio": round(whole[name] / whole[YARDSTICK], 2),
        }
        for name, found in times.items()
    }


def _table(result: Mapping[str, Any]) -> str:
    lines = [
        f"cold starts from {result['on']}, median of {result['samples']}",
        f"{'':15}{'INIT ms':>9}{'+ answer':>10}{'min–max':>14}{'ratio':>8}",
    ]
    for name, found in result["functions"].items():
        spread = f"{found['min_ms']}–{found['max_ms']}"
        lines.append(f"{name:15}{found['init_ms']:>9}{found['first_answer_ms']:>10}{spread:>14}{found['ratio']:>8.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
