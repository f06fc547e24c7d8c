"""What a function runs from on this machine: the built artefact on Lambda's own Python where there is one.

`best()` is the layers and the code as `sam build` makes them, by the same Makefiles, for this machine's processor, on
the runtime's version of Python with AWS's runtime client and nothing else installed. Where that Python is not at hand,
it is the sources on the virtual environment: the same code and the same pinned versions on another Python.

Each function has the layers of its `functions/<job>/spec.py` and no others; a test compares them with the template.

Built parts are kept in `.cache/lambda` under the hash of what they are made from: the first use builds, later ones
find, and of several processes one builds while the others wait. Packages and code are apart, so that a change to the
code alone costs a second or two.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nightshift.errors import NightshiftError
from nightshift.job_spec import load_spec

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ROOT / "layers"
FUNCTIONS = ROOT / "functions"
CLIENT = ROOT / "tools" / "runtime" / "requirements.txt"
CACHE = ROOT / ".cache" / "lambda"

RUNTIME = "3.13"
EVERY_LAYER = ("shared", "arrow", "charts", "pgclient")
KEPT = 4
"""Builds of each part that stay in the cache, those last used: a run that began earlier may still need its own."""
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
"""What a machine calls its processor → what Lambda calls it."""


class BuildFailed(NightshiftError):
    """The layers could not be made on this machine."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """What the emulator needs to know.

    Attributes:
        python: runs the function; has AWS's runtime client.
        task_root: the function's own code, /var/task on Lambda.
        layers: what is imported from after that, /opt/python on Lambda.
        label: one line for people.
        programs: where the layers have programs of others. Nothing here can lie under /opt as it does on Lambda: these
            come first on PATH instead.
    """

    python: Path
    task_root: Path
    layers: tuple[Path, ...]
    label: str
    programs: tuple[Path, ...] = ()


def best(job: str = "") -> Artefact:
    """The built artefact where this machine can run it, the sources otherwise.

    Args:
        job: the job whose layers to take; "" and a function of no job get those of `cleanup`.

    Raises:
        BuildFailed: it could be run, but not be built.
    """
    return built(layers_of(job)) if runtime_python() else sources()


def layers_of(job: str) -> tuple[str, ...]:
    """Returns the layers of a job's function, lowest first; those of `cleanup` for no job."""
    try:
        return load_spec(job).layers
    except LookupError:
        return load_spec("cleanup").layers


def describe() -> str:
    """What `best()` will be, without building it."""
    return _built_label() if runtime_python() else sources().label


def sources() -> Artefact:
    """The sources on this process's own Python."""
    label = f"the sources on Python {platform.python_version()}, no Python {RUNTIME} being at hand"
    return Artefact(Path(sys.executable), FUNCTIONS, (LAYERS / "shared",), label)


@cache
def runtime_python() -> Path | None:
    """A Python of the runtime's version for Linux on a processor that Lambda has; None: not on this machine."""
    if sys.platform != "linux" or platform.machine().lower() not in ARCHITECTURES:
        return None
    done = subprocess.run(
        [sys.executable, LAYERS / "build.py", "interpreter"],
        env={**os.environ, "LAYER_RUNTIME": RUNTIME},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip()) if done.stdout.strip() else None


@cache
def built(layers: tuple[str, ...] = EVERY_LAYER) -> Artefact:
    """These layers and the functions for this machine, built unless they are there already.

    Without a Python of the runtime's version they carry no byte code, and no function can run from them.

    Raises:
        BuildFailed: pip or make failed.
    """
    compiler, environment = runtime_python(), variables()
    with alone():
        packages = [_packages(layer, environment) for layer in layers]
        code = _code(environment)
        opt = _merged(layers, [*packages, code / "layer"])
        python = _client(compiler) / "bin" / "python" if compiler else Path(sys.executable)
    programs = tuple(sorted((opt / "pgclient").glob("*/bin")))
    return Artefact(python, code / "task", (opt / "python",), _built_label(), programs)


def variables() -> dict[str, str]:
    """What the Makefiles are told, as `make build` tells them."""
    return {
        "LAYER_ARCH": ARCHITECTURES[platform.machine().lower()],
        "LAYER_RUNTIME": RUNTIME,
        "LAYER_PYTHON": sys.executable,
        "LAYER_PIP": f'"{sys.executable}" -m pip',
        "LAYER_COMPILER": str(runtime_python() or ""),
    }


def _built_label() -> str:
    return f"the built layers ({ARCHITECTURES[platform.machine().lower()]}) on Python {RUNTIME}"


def _packages(layer: str, environment: Mapping[str, str]) -> Path:
    """A layer's packages, as the first line of its Makefile target makes them."""
    what, place = ("client", "pgclient") if layer == "pgclient" else ("packages", "python")

    def make(target: Path) -> None:
        run([sys.executable, "build.py", what, layer, str(target / place)], LAYERS, environment)

    made_by = [(LAYERS / name).read_bytes() for name in ("build.py", f"{layer}/requirements.txt")]
    return kept(layer, [*made_by, *_bytes_of(environment)], make)


def _code(environment: Mapping[str, str]) -> Path:
    """Our own: the shared layer's package, and /var/task."""

    def make(target: Path) -> None:
        site, task = target / "layer" / "python", target / "task"
        site.mkdir(parents=True)
        run([sys.executable, "build.py", "code", "shared/nightshift", str(site)], LAYERS, environment)
        task.mkdir()
        run(["make", "--silent", "build-functions", f"ARTIFACTS_DIR={task}"], FUNCTIONS, environment)

    sources = sorted(
        path
        for folder in (LAYERS, FUNCTIONS)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    contents = (part for path in sources for part in (str(path.relative_to(ROOT)).encode(), path.read_bytes()))
    return kept("code", [*_bytes_of(environment), *contents], make)


def _merged(layers: Sequence[str], parts: Sequence[Path]) -> Path:
    """/opt as Lambda unpacks it, one layer over the other."""

    def make(target: Path) -> None:
        for part in parts:
            shutil.copytree(part, target, copy_function=os.link, dirs_exist_ok=True)

    return kept("+".join(["opt", *layers]), [str(part.relative_to(CACHE)).encode() for part in parts], make)


def _client(python: Path) -> Path:
    """An environment of that Python with AWS's runtime client and nothing else, not even pip."""

    def make(target: Path) -> None:
        run([str(python), "-m", "venv", "--without-pip", str(target)], ROOT, {})
        pip = [sys.executable, "-m", "pip", "--python", str(target / "bin" / "python"), "install", "--quiet"]
        pip += ["--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary=:all:"]
        run([*pip, "-r", str(CLIENT)], ROOT, {})

    return kept("client", [CLIENT.read_bytes(), str(python).encode()], make)


def kept(name: str, made_from: Iterable[bytes], make: Callable[[Path], None]) -> Path:
    """The directory that was made from these, made now if it is not there; a half-made one never is."""
    key = hashlib.sha256()
    for part in made_from:
        key.update(len(part).to_bytes(8, "big") + part)
    target = CACHE / f"{name}-{key.hexdigest()[:16]}"
    if not target.exists():
        print(f"building {target.relative_to(ROOT)}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            whole = Path(work) / name
            whole.mkdir()
            make(whole)
            whole.rename(target)
    os.utime(target)
    for old in sorted(CACHE.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def _bytes_of(environment: Mapping[str, str]) -> Iterator[bytes]:
    """What the result depends on: not who runs the build."""
    return (f"{name}={environment[name]}".encode() for name in ("LAYER_ARCH", "LAYER_RUNTIME", "LAYER_COMPILER"))


@contextmanager
def alone() -> Iterator[None]:
    """One process at a time; the lock goes with its holder, however that ends."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: list[str], directory: Path, environment: Mapping[str, str]) -> None:
    """Run a step of a build, with these variables on top of ours; raises `BuildFailed` with its last words."""
    done = subprocess.run(
        command, cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildFailed(
            "the layers could not be built",
            detail=(done.stderr or done.stdout)[-2000:],
            hint="it takes pip's package index, or pip's cache of an earlier build",
        )
