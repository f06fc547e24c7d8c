"""What gets deployed is pinned, complete, and says nothing about where it was made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from layers import build
from local import artefact
from tests.template.cloudformation import ROOT, Stack, load

DEV = ROOT / "requirements-dev.txt"
RUNTIME_CLIENT = ROOT / "tools" / "runtime" / "requirements.txt"
SHIPPED = [*sorted((ROOT / "layers").glob("*/requirements.txt")), RUNTIME_CLIENT]
LOCKS = sorted(
    path for path in ROOT.glob("**/requirements*.txt") if not path.relative_to(ROOT).parts[0].startswith(".")
)


def pins(lock: Path) -> dict[str, str]:
    """Package → version, with its marker."""
    lines = (line.rstrip("\\ ") for line in lock.read_text().splitlines() if re.match(r"[a-z0-9]", line))
    return dict(line.split("==", 1) for line in lines)


def test_every_lock_is_made_by_make_lock() -> None:
    sources = {path.with_suffix(".in") for path in LOCKS}
    script = (ROOT / "tools" / "lock" / "lock").read_text()
    assert {ROOT / name for name in re.findall(r"^compile (\S+)", script, re.MULTILINE)} == sources
    assert all(source.exists() for source in sources)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_is_pinned_hashed_and_names_no_place(lock: Path) -> None:
    text = lock.read_text()
    requirements = [entry for entry in text.replace("\\\n", " ").splitlines() if not entry.lstrip().startswith("#")]
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9][a-z0-9.-]*(\[[a-z0-9,-]+\])?==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", requirement)
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


@pytest.mark.parametrize("lock", SHIPPED, ids=lambda path: str(path.parent.name))
def test_a_layer_carries_what_was_tested(lock: Path) -> None:
    tested = pins(DEV)
    assert {name: version for name, version in pins(lock).items() if tested.get(name) != version} == {}


def test_no_lock_of_a_layer_asks_which_python_reads_it() -> None:
    """pip answers for its own Python, whichever it installs for: what is deployed would depend on who builds it."""
    marked = {lock: name for lock in SHIPPED for name, version in pins(lock).items() if "python" in version}
    assert marked == {}


def test_functions_run_here_from_the_layers_that_they_get_there(stack: Stack) -> None:
    layers = {f"<{name}>": name for name in load()["Resources"] if name.endswith("Layer")}
    named = {name: name.removesuffix("Layer").lower() for name in layers.values()}
    assert set(named.values()) == set(artefact.EVERY_LAYER)
    for _, function in stack.of_type("AWS::Lambda::Function"):
        job = function["Handler"].split(".", 1)[0]
        carried = [named[re.sub(r"[0-9a-f]{10}$", "", layer.strip("<>"))] for layer in function["Layers"]]
        assert carried == list(artefact.layers_of(job)), job


def test_every_layer_has_a_build_target_and_its_runtime(stack: Stack) -> None:
    template = load()
    makefile = (ROOT / "layers" / "Makefile").read_text()
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            assert resource["Metadata"] == {"BuildMethod": "makefile"}
            assert re.search(rf"^build-{name}:", makefile, re.MULTILINE), name
    for _, layer in stack.of_type("AWS::Lambda::LayerVersion"):
        (runtime,) = layer["CompatibleRuntimes"]
        assert f"LAYER_RUNTIME ?= {runtime.removeprefix('python')}\n" in makefile
        assert runtime == f"python{build.RUNTIME}" == f"python{artefact.RUNTIME}"
    assert f"LAYER_ARCH ?= {template['Parameters']['Architecture']['Default']}\n" in makefile
