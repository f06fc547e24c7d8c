"""Modules come out of a bundle as they would come out of their own files, and out of those where there is no bundle.

Each test looks into a process of its own. There, every source says that it is new, while what was bundled is old: what
is imported tells where it came from.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILER = ROOT / "layers" / "byte_code.py"
READER = ROOT / "layers" / "shared" / "nightshift" / "layer_bundle.py"

MODULES = {
    "single.py": "AGE = 'old'\n",
    "house/__init__.py": "AGE = 'old'\nfrom house.upper.room import fail\n",
    "house/attic.py": "AGE = 'old'\n",
    "house/upper/__init__.py": "",
    "house/upper/room.py": "from .. import upper\ndef fail():\n    raise ValueError('old')\nAGE = 'old'\n",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A layer's root with `all.bundle`, and sources that have changed since."""
    site = tmp_path / "site"
    for name, source in MODULES.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    subprocess.run([sys.executable, COMPILER, site, site, site, site / "all.bundle"], check=True)
    for path in site.rglob("*.pyc"):
        path.unlink()
    for name, source in MODULES.items():
        (site / name).write_text(source.replace("old", "new"))
    return site


def say(site: Path, program: str, *, before: tuple[Path, ...] = ()) -> Any:
    """What a program says in `told`, in a process with `site` on its path, behind the folders of `before`."""
    done = subprocess.run(
        [sys.executable, "-c", f"import importlib, json, sys\n{program}\nprint(json.dumps(told))"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*before, site))), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def tell(site: Path, program: str, *, before: tuple[Path, ...] = ()) -> Any:
    """As `say`, with the bundles of `site` installed."""
    install = f"import runpy; runpy.run_path({str(READER)!r})['install_bundles']({str(site)!r})"
    return say(site, f"{install}\n{program}", before=before)


def ages(*modules: str) -> str:
    return f"told = [importlib.import_module(name).AGE for name in {modules!r}]"


def test_what_is_bundled_comes_out_of_the_bundle(site: Path) -> None:
    assert tell(site, ages("single", "house", "house.upper.room")) == ["old", "old", "old"]


def test_what_is_not_bundled_is_found_beside_it(site: Path) -> None:
    (site / "house" / "later.py").write_text("AGE = 'new'")
    assert tell(site, ages("house", "house.later")) == ["old", "new"]
    assert (
        tell(site, "try:\n import house.never\nexcept ModuleNotFoundError as exc:\n told = exc.name") == "house.never"
    )


def test_a_module_knows_its_place(site: Path) -> None:
    module = "import house.upper.room as room, house\n"
    assert tell(site, f"{module}told = [house.__file__, house.__path__, house.__spec__.origin, house.__package__]") == [
        str(site / "house" / "__init__.py"),
        [str(site / "house")],
        str(site / "house" / "__init__.py"),
        "house",
    ]
    assert tell(site, f"{module}told = [room.__file__, room.__package__, hasattr(room, '__path__')]") == [
        str(site / "house" / "upper" / "room.py"),
        "house.upper",
        False,
    ]


def test_data_and_sources_are_where_they_were(site: Path) -> None:
    (site / "house" / "data.txt").write_text("furniture")
    assert (
        tell(site, "import importlib.resources as r\ntold = (r.files('house') / 'data.txt').read_text()") == "furniture"
    )
    assert "raise ValueError" in tell(site, "import inspect, house\ntold = inspect.getsource(house.fail)")
    modules = "import pkgutil, house\ntold = sorted(found.name for found in pkgutil.iter_modules(house.__path__))"
    assert tell(site, modules) == ["attic", "upper"]


def test_a_stack_trace_shows_the_line(site: Path) -> None:
    fail = "import house, traceback\ntry:\n house.fail()\nexcept ValueError:\n told = traceback.format_exc()"
    place = f'File "{site}/house/upper/room.py", line 3, in fail'
    assert [line.strip() for line in tell(site, fail).splitlines()[-4:-1] if "^" not in line][-2:] == [
        place,
        "raise ValueError('new')",
    ]


def test_what_comes_first_on_the_path_still_does(site: Path, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "single.py").write_text("AGE = 'first'")
    assert tell(site, ages("single", "house"), before=(tmp_path / "first",)) == ["first", "old"]


def test_several_bundles_share_a_root(site: Path) -> None:
    (site / "second").mkdir()
    (site / "second" / "__init__.py").write_text("AGE = 'old'")
    subprocess.run([sys.executable, COMPILER, site / "second", site, site, site / "second.bundle"], check=True)
    shutil.rmtree(site / "second" / "__pycache__")
    (site / "second" / "__init__.py").write_text("AGE = 'new'")
    assert tell(site, ages("single", "second")) == ["old", "old"]


def test_folders_that_were_looked_into_before_are_looked_up_again(site: Path) -> None:
    """As the folder of `nightshift` itself, whose first modules come before any bundle."""
    shutil.copy(READER, site / "house" / "reader.py")
    program = f"import house.reader\nhouse.reader.install_bundles({str(site)!r})\n{ages('house', 'house.attic')}"
    assert say(site, program) == ["new", "old"]


def test_another_pythons_bundle_is_left_alone(site: Path) -> None:
    bundle = site / "all.bundle"
    bundle.write_bytes(b"\0\0\r\n" + bundle.read_bytes()[4:])
    assert tell(site, ages("single", "house.upper.room")) == ["new", "new"]


def test_without_a_bundle_nothing_is_different(site: Path) -> None:
    (site / "all.bundle").unlink()
    assert tell(site, f"{ages('single')}\ntold += [len(sys.path_hooks)]") == ["new", len(sys.path_hooks)]
