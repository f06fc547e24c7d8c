"""The report weighs each function with exactly the layers that it names, and fails a build that is too heavy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tools.build_report import LARGEST, LIMIT, SPARE, main, problems, read_build, read_part

LAYER = "AWS::Serverless::LayerVersion"
FUNCTION = "AWS::Serverless::Function"
MIB = 1 << 20


def fill(directory: Path, size: int) -> None:
    """One file of so many bytes, which takes no room on the disk."""
    directory.mkdir(parents=True)
    with (directory / "file").open("wb") as file:
        file.truncate(size)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """Two layers; one function with both, one with the small one alone."""
    resources = {
        "Small": {"Type": LAYER, "Properties": {"ContentUri": "Small"}},
        "Large": {"Type": LAYER, "Properties": {"ContentUri": "Large"}},
        "Mover": {"Type": FUNCTION, "Properties": {"CodeUri": "Mover", "Layers": [{"Ref": "Small"}, {"Ref": "Large"}]}},
        "Teller": {"Type": FUNCTION, "Properties": {"CodeUri": "Teller", "Layers": [{"Ref": "Small"}]}},
        "Bucket": {"Type": "AWS::S3::Bucket"},
    }
    (tmp_path / "template.yaml").write_text(yaml.safe_dump({"Resources": resources}))
    for name, size in {"Small": 30 * MIB, "Large": 100 * MIB, "Mover": 1000, "Teller": 2000}.items():
        fill(tmp_path / name, size)
    return tmp_path


def resize(build: Path, name: str, size: int) -> None:
    os.truncate(build / name / "file", size)


def test_each_function_is_weighed_with_the_layers_it_names(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {function.code.name: function.size for function in read_build(build)} == {
        "Mover": 130 * MIB + 1000,
        "Teller": 30 * MIB + 2000,
    }
    assert main(build) == 0
    shown = capsys.readouterr()
    assert "Mover                    136.3 MB  code + Small + Large; 48% to spare\n" in shown.out
    assert "Teller                    31.5 MB  code + Small; 88% to spare\n" in shown.out
    assert f"content {read_part(build / 'Large').content}\n" in shown.out
    assert shown.err == ""


@pytest.mark.fast_cases("190000001", "190000000")
@pytest.mark.parametrize(
    ("total", "said"),
    [
        (LARGEST, []),
        (LARGEST + 1, ["Mover: more than 190,000,000 bytes"]),
        (int(LIMIT * (1 - SPARE)), ["Mover: more than 190,000,000 bytes"]),
        (
            int(LIMIT * (1 - SPARE)) + 1,
            ["Mover: less than 25% of 262,144,000 bytes are to spare", "Mover: more than 190,000,000 bytes"],
        ),
    ],
)
def test_a_function_that_is_too_heavy_fails_the_build(
    build: Path, total: int, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    resize(build, "Large", total - 30 * MIB - 1000)
    assert list(problems(read_build(build))) == said
    assert main(build) == (1 if said else 0)
    assert capsys.readouterr().err.splitlines() == said


def test_a_build_without_a_part_is_no_light_build(build: Path) -> None:
    (build / "Large").rename(build / "Elsewhere")
    with pytest.raises(FileNotFoundError):
        main(build)
    (build / "template.yaml").write_text("Resources: {}")
    assert main(build) == 1


def test_the_content_hash_is_of_names_and_bytes_alone(build: Path, tmp_path: Path) -> None:
    before = read_part(build / "Small").content
    os.utime(build / "Small" / "file", (1, 1))
    (build / "Small" / "file").chmod(0o700)
    (build / "Small").rename(build / "Tiny")
    assert read_part(build / "Tiny").content == before
    (build / "Tiny" / "file").rename(build / "Tiny" / "other")
    renamed = read_part(build / "Tiny").content
    (build / "Tiny" / "other").write_bytes(b"x")
    assert len({before, renamed, read_part(build / "Tiny").content}) == 3
