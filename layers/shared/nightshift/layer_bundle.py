"""Imports modules from a layer's bundles: byte code is found by one index look-up and read by one call.

A cold start loads 400 modules. Python looks for each in every folder of the path, asks for the times of two files,
opens and reads one: a twentieth of the start, and more where the layer's file system is cold as well. The layers are
built with all their byte code in one file each (`layers/byte_code.py`). After `install_bundles()` Python looks for the
folders below the layers' root in those first.

Everything else stays as it was: the order of `sys.path`, libraries, data files, `__file__`, the sources behind a
stack trace. Modules that no bundle has are found the ordinary way: all of them where there is no bundle, or only one
of another Python version.
"""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Callable
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import MAGIC_NUMBER, spec_from_file_location
from types import CodeType, ModuleType
from typing import Any

SUFFIX = ".bundle"

_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)
"""Python's own, in its own order."""

_Table = dict[str, tuple[int, int, bool]]


class _Bundle:
    """One open file; `folders` is its index, as `byte_code.bundle` lays it out."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        magic, length = os.pread(self._file, 4, 0), int.from_bytes(os.pread(self._file, 4, 4), "little")
        self._start = 8 + length
        self.folders: dict[str, _Table] = {}
        if magic == MAGIC_NUMBER:
            self.folders = self._object(8, length)

    def read(self, offset: int, length: int) -> CodeType:
        code: CodeType = self._object(self._start + offset, length)
        return code

    def _object(self, start: int, length: int) -> Any:
        return marshal.loads(os.pread(self._file, length, start))  # noqa: S302 - as trustworthy as the sources beside it


class _Loader(SourceFileLoader):
    """A module whose source lies where it always did, and whose byte code is in a bundle."""

    def __init__(self, name: str, path: str, bundle: _Bundle, place: tuple[int, int]) -> None:
        super().__init__(name, path)
        self._bundle = bundle
        self._place = place

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - a loader is for one module
        return self._bundle.read(*self._place)


class _Finder(FileFinder):
    """A folder, looked up in the bundles first."""

    def __init__(self, path: str, tables: list[tuple[_Bundle, _Table]]) -> None:
        super().__init__(path, *_LOADERS)
        self._tables = tables

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        name = fullname.rpartition(".")[2]
        for bundle, table in self._tables:
            if name in table:
                return self._spec(fullname, name, bundle, table[name])
        return super().find_spec(fullname, target)

    def _spec(self, fullname: str, name: str, bundle: _Bundle, entry: tuple[int, int, bool]) -> ModuleSpec | None:
        offset, length, is_package = entry
        path = f"{self.path}/{name}"
        source = f"{path}/__init__.py" if is_package else f"{path}.py"
        spec = spec_from_file_location(
            fullname,
            source,
            loader=_Loader(fullname, source, bundle, (offset, length)),
            submodule_search_locations=[path] if is_package else None,
        )
        if spec is not None:
            spec.cached = bundle.path
        return spec


def install_bundles(site: str) -> None:
    """Have imports from `site` and below looked up, from now on, in the bundles that lie there."""
    tables: dict[str, list[tuple[_Bundle, _Table]]] = {}
    for name in sorted(os.listdir(site)):
        if name.endswith(SUFFIX):
            bundle = _Bundle(f"{site}/{name}")
            for folder, table in bundle.folders.items():
                tables.setdefault(f"{site}/{folder}" if folder else site, []).append((bundle, table))
    if tables:
        sys.path_hooks.insert(0, _hook(tables))
        for path in tables.keys() & sys.path_importer_cache.keys():
            del sys.path_importer_cache[path]


def _hook(tables: dict[str, list[tuple[_Bundle, _Table]]]) -> Callable[[str], _Finder]:
    def finder(path: str) -> _Finder:
        if path not in tables:
            raise ImportError(f"no bundle has {path}", path=path)
        return _Finder(path, tables[path])

    return finder
