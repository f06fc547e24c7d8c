"""Built parts are kept: made once, by one of many, whole or not at all, and not for ever."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from local import artefact as artefacts


def test_of_many_who_need_it_one_builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(artefacts, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(artefacts, "ROOT", tmp_path)
    built_by: list[int] = []
    two = threading.Barrier(2)

    def make(target: Path) -> None:
        built_by.append(threading.get_ident())
        with suppress(threading.BrokenBarrierError):
            two.wait(0.5)  # time for a second one to come in, if it could
        (target / "file").write_text("whole")

    def need(_: int) -> Path:
        with artefacts.alone():
            return artefacts.kept("part", [b"made of this"], make)

    with ThreadPoolExecutor(8) as pool:
        (found,) = set(pool.map(need, range(16)))
    assert len(built_by) == 1
    assert (found / "file").read_text() == "whole"


def test_what_could_not_be_built_is_not_taken_for_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(artefacts, "CACHE", tmp_path)
    monkeypatch.setattr(artefacts, "ROOT", tmp_path)

    def make(target: Path) -> None:
        (target / "file").write_text("half")
        artefacts.run([sys.executable, "-c", "import sys; sys.exit('no such package')"], tmp_path, {})

    with pytest.raises(artefacts.BuildFailed, match="no such package"):
        artefacts.kept("part", [b"made of this"], make)
    assert list(tmp_path.iterdir()) == []


def test_old_builds_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(artefacts, "CACHE", tmp_path)
    monkeypatch.setattr(artefacts, "ROOT", tmp_path)
    made = [artefacts.kept("part", [str(number).encode()], lambda target: None) for number in range(6)]
    assert len(list(tmp_path.iterdir())) == artefacts.KEPT
    assert made[-1].exists()
