"""Holds each function of a SAM build to Lambda's limit: 262,144,000 bytes unzipped, its layers included.

Source: AWS Lambda quotas, "Deployment package (.zip file archive) size". SAM and CloudFormation find out only when
the function is created.
"""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 262_144_000
MB = 1_000_000


def size_of(directory: Path) -> int:
    """Bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def main(build: Path) -> int:
    """Print what every part of the build weighs; 1 where the heaviest possible function is over the limit."""
    sizes = {path.name: size_of(path) for path in sorted(build.iterdir()) if path.is_dir()}
    layers = sum(size for name, size in sizes.items() if name.endswith("Layer"))
    heaviest = layers + max((size for name, size in sizes.items() if name.endswith("Function")), default=0)
    for name, size in sizes.items():
        print(f"{name:24} {size / MB:8.1f} MB")
    print(f"{'a function, all layers':24} {heaviest / MB:8.1f} MB of {LIMIT / MB:.1f} MB")
    return int(heaviest > LIMIT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
