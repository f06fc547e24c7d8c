"""Functions run from what would be deployed, wherever a machine can; and the layers hold what they should."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layers.build import AWS_SERVICES, NOT_SHIPPED, PROGRAMS, RUNTIME, loadable
from local import artefact as artefacts
from local.artefact import (
    FUNCTIONS,
    LAYERS,
    ROOT,
    Artefact,
    best,
    built,
    describe,
    layers_of,
    runtime_python,
    sources,
)
from local.lambda_runtime import LambdaRuntime
from nightshift.job_spec import list_jobs, load_spec
from tools.build_report import LARGEST, LIMIT, SPARE, read_part

ECHO = Path(__file__).parent / "functions"
OURS = (LAYERS / "shared" / "nightshift", FUNCTIONS)
UNCHECKED_HASH = 0b01
ASKS_BY_ITSELF = {"SecretsProvider": "secretsmanager", "SSMProvider": "ssm"}
"""Functions of Powertools' that make a client of their own → of which service."""
NOT_DEPLOYED = ("numpy", "sklearn")
"""What the local embedder imports when it is asked for, which no function is."""
FOR_COMPILERS = {".c", ".cc", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx", ".a"}

on_the_runtime = pytest.mark.skipif(runtime_python() is None, reason=f"there is no Python {RUNTIME} on this machine")


@pytest.fixture(scope="session")
def client() -> Path:
    """/opt/pgclient."""
    (layers,) = built().layers
    return layers.parent / "pgclient"


@pytest.fixture(scope="session")
def site() -> Path:
    """/opt/python with every layer; without byte code where this machine has no Python of the runtime's version."""
    (layers,) = built().layers
    return layers


PATCHED_IN_PLACE = {"certifi/cacert.pem"}
"""Machines behind a proxy that looks into TLS add its authority to every such file they come across, ours included."""


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def contents(directory: Path) -> dict[str, bytes]:
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files(directory)}


def trees() -> Iterator[ast.AST]:
    """Our code as far as it is shipped, parsed."""
    for folder in OURS:
        for path in folder.rglob("*.py"):
            if not set(path.relative_to(folder).parts) & set(NOT_SHIPPED):
                yield ast.parse(path.read_text(encoding="utf-8"))


def imported() -> set[str]:
    """Every module from outside the standard library that shipped code imports, or names in a job's spec."""
    specs = [load_spec(job) for job in list_jobs(FUNCTIONS)]
    names = {str(name).partition(":")[0] for spec in specs for name in (spec.work, spec.message, spec.request) if name}
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    return {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}


def services() -> set[object]:
    """The AWS services that shipped code makes clients of, itself or through Powertools."""
    found: set[object] = set()
    for tree in trees():
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                if call.func.attr in ASKS_BY_ITSELF:
                    found.add(ASKS_BY_ITSELF[call.func.attr])
                elif call.func.attr in ("client", "resource"):
                    found |= {argument.value for argument in call.args[:1] if isinstance(argument, ast.Constant)}
    return found


@on_the_runtime
def test_functions_run_from_the_built_layers(artefact: Artefact) -> None:
    for job in FUNCTIONS.glob("*/app.py"):
        runtime = LambdaRuntime(f"{job.parent.name}.app.lambda_handler", {})
        assert runtime.artefact == best(job.parent.name)
        assert runtime.artefact.task_root == artefact.task_root


@on_the_runtime
def test_all_that_the_code_imports_is_in_the_layers(site: Path) -> None:
    wanted = sorted(name for name in imported() if not name.startswith(("mypy_boto3", *NOT_DEPLOYED)))
    assert {"boto3", "PIL", "pyarrow.parquet", "nightshift.runtime", "cleanup.job"} <= {*wanted}
    with LambdaRuntime("echo.app.lambda_handler", {}, task_root=ECHO, artefact=built()) as runtime:
        ours = {job.name for job in FUNCTIONS.iterdir() if job.is_dir()}
        result = runtime.invoke({"import": [name for name in wanted if name.split(".")[0] not in ours]})
    assert result.error_type is None, result.logs
    assert {name: file for name, file in result.payload["event"]["imported"].items() if str(site) not in file} == {}
    assert result.payload["python"] == [int(part) for part in RUNTIME.split(".")]
    assert not any(str(ROOT / ".venv") in entry for entry in result.payload["import_path"])


def test_without_the_runtimes_python_functions_run_from_the_sources() -> None:
    with LambdaRuntime("echo.app.lambda_handler", {}, task_root=ECHO, artefact=sources()) as runtime:
        result = runtime.invoke({"import": ["nightshift"]})
    assert result.payload["event"]["imported"] == {"nightshift": str(OURS[0] / "__init__.py")}
    assert result.payload["python"] == list(sys.version_info[:2])


def test_one_line_says_what_functions_run_from(artefact: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    assert describe() == artefact.label
    monkeypatch.setattr(artefacts, "runtime_python", lambda: None)
    assert describe() == artefacts.best().label == sources().label != built().label


@pytest.mark.slow
def test_a_build_is_the_same_byte_for_byte_elsewhere_and_later(site: Path, client: Path, tmp_path: Path) -> None:
    """By the Makefile's own targets, as `sam build` calls them, from a copy of the sources in another directory."""
    copy, later = tmp_path / "copy", tmp_path / "later" / "python"
    shutil.copytree(LAYERS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    again: dict[str, bytes] = {}
    for layer in ("SharedLayer", "ArrowLayer", "ChartsLayer"):
        artefacts.run(
            ["make", "--silent", f"build-{layer}", f"ARTIFACTS_DIR={tmp_path / layer}"], copy, artefacts.variables()
        )
        content = contents(tmp_path / layer / "python")
        assert not content.keys() & again.keys(), "a file is in both layers"
        again |= content
    target = f"ARTIFACTS_DIR={tmp_path / 'PgClientLayer'}"
    artefacts.run(["make", "--silent", "build-PgClientLayer", target], copy, artefacts.variables())
    assert contents(tmp_path / "PgClientLayer" / "pgclient") == contents(client)
    # Our own code is made twice from the copy: somebody may be at work on the sources while the tests run.
    artefacts.run([sys.executable, "build.py", "code", "shared/nightshift", str(later)], copy, artefacts.variables())
    built_before = {name: data for name, data in contents(site).items() if not name.startswith("nightshift")}
    assert again.keys() == built_before.keys() | contents(later).keys()
    differing = [name for name, data in (built_before | contents(later)).items() if again[name] != data]
    assert set(differing) <= PATCHED_IN_PLACE


def test_nothing_tells_of_the_machine_that_built(site: Path, client: Path) -> None:
    traces = [str(path).encode() for path in (ROOT, artefacts.CACHE, Path(sys.prefix))]
    shipped = [*files(site), *files(client)]
    assert [path for path in shipped if any(trace in path.read_bytes() for trace in traces)] == []
    assert [p.name for p in site.glob("*.dist-info/*") if p.name in {"RECORD", "INSTALLER", "direct_url.json"}] == []


def test_the_layers_hold_what_runs_and_nothing_else(site: Path) -> None:
    assert [path for path in files(site) if path.suffix in FOR_COMPILERS] == []
    assert [path for path in site.rglob("tests") if path.is_dir()] == []
    assert not {path.name for path in (site / "nightshift").iterdir()} & {"cli", "__main__.py"}
    shipped = {path.relative_to(site / "nightshift").parts[0] for path in files(site / "nightshift")}
    kept = {path.name for path in OURS[0].iterdir()} - set(NOT_SHIPPED)
    assert shipped - {"__pycache__"} == kept


def test_the_layer_knows_every_service_that_the_code_calls(site: Path) -> None:
    assert services() == set(AWS_SERVICES) - {"sts"}
    assert {path.name for path in (site / "botocore" / "data").iterdir() if path.is_dir()} == set(AWS_SERVICES)


@on_the_runtime
def test_all_byte_code_is_the_runtimes_and_taken_unchecked(site: Path, artefact: Artefact) -> None:
    for folder in (site, artefact.task_root):
        compiled = {path.parents[1] / f"{path.name.split('.')[0]}.py" for path in folder.rglob("*.pyc")}
        assert compiled == set(folder.rglob("*.py"))
    flags = {path.read_bytes()[4:8] for path in site.rglob("*.pyc")}
    assert flags == {UNCHECKED_HASH.to_bytes(4, "little")}
    assert {path.name.split(".")[-2] for path in site.rglob("*.pyc")} == {f"cpython-{RUNTIME.replace('.', '')}"}


@pytest.mark.parametrize("job", list_jobs(FUNCTIONS))
def test_a_function_stays_far_below_lambdas_limit(job: str) -> None:
    artefact = built(layers_of(job))
    (site,) = artefact.layers
    size = read_part(site.parent).size + read_part(artefact.task_root).size
    assert 40_000_000 < size <= min(LARGEST, LIMIT * (1 - SPARE))


def test_the_client_layer_holds_two_programs_of_each_version_and_their_licences(client: Path) -> None:
    names = {path.relative_to(client).as_posix() for path in files(client)}
    libraries = {name for name in names if "/lib/" in name}
    programs = {f"{version}/bin/{program}" for version in ("16", "18") for program in PROGRAMS}
    assert names - libraries == {*programs, "COPYRIGHT", "LICENSE.wheel"}
    assert {re.sub(r"-[0-9a-f]+", "", name) for name in libraries} == {"16/lib/libpq.so.5.16", "18/lib/libpq.so.5.18"}
    for name in programs:
        version, *_ = name.split("/")
        environment = {"LD_LIBRARY_PATH": str(client / version / "lib")}
        said = subprocess.run([client / name, "--version"], env=environment, capture_output=True, text=True, check=True)
        assert f"(PostgreSQL) {version}." in said.stdout


def test_the_charts_layer_draws_with_one_font_and_opens_no_pictures(site: Path) -> None:
    assert {path.name for path in site.rglob("*.ttf")} == {"NanumGothic.ttf"}
    assert [path.name for path in (site / "PIL").glob("*ImagePlugin.py")] == ["PngImagePlugin.py"]
    assert {path.name.split(".")[0] for path in (site / "PIL").glob("*.so")} == {"_imaging", "_imagingft"}
    assert not {path.name for path in site.iterdir()} & {"matplotlib", "numpy"}


def test_only_what_the_loader_reads_stays_of_a_library(site: Path, client: Path) -> None:
    libraries = [path for path in [*files(site), *files(client)] if path.read_bytes()[:4] == b"\x7fELF"]
    assert len(libraries) > 20
    section_headers = slice(40, 48)  # e_shoff: where a linker or debugger would begin to read
    assert {path.read_bytes()[section_headers] for path in libraries} == {bytes(8)}
    assert loadable(b"#!/bin/sh\n") == b"#!/bin/sh\n"
    assert loadable(b"\x7fELF\x01\x01" + b"\0" * 60) == b"\x7fELF\x01\x01" + b"\0" * 60


def test_no_library_wants_a_newer_c_library_than_lambdas(site: Path, client: Path) -> None:
    """A wheel for a newer one would install here and fail on Amazon Linux 2023, which has glibc 2.34."""
    wanted = {
        tuple(map(int, version.split(b".")))
        for path in [*files(site), *files(client)]
        if path.read_bytes()[:4] == b"\x7fELF"
        for version in re.findall(rb"\0GLIBC_(\d+\.\d+)", path.read_bytes())
    }
    assert (2, 17) in wanted
    assert max(wanted) <= (2, 34)
