"""What a SAM build weighs and what it is: each layer's content hash, each function with exactly the layers it names.

Lambda holds a function to 262,144,000 bytes unzipped, its layers included (AWS Lambda quotas, "Deployment package
(.zip file archive) size"); SAM and CloudFormation find out only when the function is created. A quarter stays free
here, so that an update of a package is no emergency, and no function may pass 190 MB.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LIMIT = 262_144_000
SPARE = 0.25
LARGEST = 190_000_000
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """A function's code or a layer, as built.

    Attributes:
        size: bytes of all files.
        content: SHA-256 over names and bytes, whatever the times, the modes and the place.
    """

    name: str
    size: int
    content: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function's code and the layers that it names, lowest first."""

    code: Part
    layers: tuple[Part, ...]

    @property
    def size(self) -> int:
        return self.code.size + sum(layer.size for layer in self.layers)


def read_part(directory: Path) -> Part:
    """Measure and hash a directory.

    Raises:
        FileNotFoundError: there is no such directory; an empty one would weigh nothing and pass for a good build.
    """
    if not directory.is_dir():
        raise FileNotFoundError(directory)
    content, size = hashlib.sha256(), 0
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        data = path.read_bytes()
        size += len(data)
        content.update(f"{path.relative_to(directory).as_posix()}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return Part(directory.name, size, content.hexdigest())


def read_build(build: Path) -> list[Function]:
    """The functions of a build, from its own template."""
    resources: dict[str, Any] = yaml.safe_load((build / "template.yaml").read_text(encoding="utf-8"))["Resources"]
    layers = {
        name: read_part(build / resource["Properties"]["ContentUri"])
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::LayerVersion"
    }
    return [
        Function(
            read_part(build / resource["Properties"]["CodeUri"]),
            tuple(layers[layer["Ref"]] for layer in resource["Properties"].get("Layers", ())),
        )
        for resource in resources.values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]


def problems(functions: list[Function]) -> Iterator[str]:
    """One sentence for each function that is too heavy."""
    for function in functions:
        if function.size > LIMIT * (1 - SPARE):
            yield f"{function.code.name}: less than {SPARE:.0%} of {LIMIT:,} bytes are to spare"
        if function.size > LARGEST:
            yield f"{function.code.name}: more than {LARGEST:,} bytes"
    if not functions:
        yield "the build has no function"


def main(build: Path) -> int:
    """Print the report; 1 where a function is too heavy."""
    functions = read_build(build)
    for layer in sorted({layer for function in functions for layer in function.layers}, key=lambda part: part.name):
        print(f"{layer.name:22}{layer.size / MB:8.1f} MB  content {layer.content}")
    for function in functions:
        parts = " + ".join(["code", *(layer.name for layer in function.layers)])
        print(f"{function.code.name:22}{function.size / MB:8.1f} MB  {parts}; {1 - function.size / LIMIT:.0%} to spare")
    found = list(problems(functions))
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
