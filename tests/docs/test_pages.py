"""README.md and docs/ agree with the code: blocks, links, keys, guards, names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from nightshift.database.tables import metadata
from nightshift.job_spec import list_jobs, load_object, load_spec
from nightshift.policy.embedding import EmbeddingPolicy
from nightshift.policy.expiry import ExpiryPolicy
from nightshift.policy.file import parse_policies
from nightshift.policy.retention import RetentionPolicy
from nightshift.progress_events import ProgressStep
from nightshift.run import _Input
from nightshift.settings import Settings
from nightshift.slack.phrases.catalog import MessageCatalog
from tests.support.guards import guards_of
from tests.test_structure import ROOMS
from tools.docs.blocks import BLOCK, ROOT, fill_blocks, pages
from tools.docs.jobs import in_words
from tools.docs.settings import SET_BY_LAMBDA, described_fields
from tools.docs.template import functions, load_template, parameters_by_variable

DATED = ROOT / "docs" / "decisions.md"
"""Decisions keep the wording of their day."""
PAGES = [page for page in pages() if page != DATED]
ANSWERED = ROOT / "docs" / "jobs"
LONGEST_SENTENCE = 25
"""Words."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows_of(text: str, head: str) -> list[str]:
    """The first cells of the table whose first column is called so."""
    (table,) = re.findall(rf"^\| {head} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [line.split("|")[1] for line in table.splitlines()]


def coded(cells: list[str]) -> set[str]:
    """The words that stand as code in some cells."""
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_generated_blocks_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert fill_blocks(text) == text, "run `make docs`"


def test_every_setting_and_every_parameter_is_in_a_table() -> None:
    text = text_of("docs/configuration.md")
    for name, (section, meaning) in described_fields().items():
        assert meaning.endswith("."), f"{name} has no description in {section}"
    assert described_fields().keys() == Settings.model_fields.keys()
    listed = set(re.findall(r"^\| `([A-Z_]+)`<br>", text, re.MULTILINE))
    assert listed == {name.upper() for name in Settings.model_fields.keys() - SET_BY_LAMBDA}
    wired = {name for names in parameters_by_variable().values() for name in names}
    named = set(re.findall(r"^\| `([A-Za-z]+)` \|", text, re.MULTILINE)) | wired
    assert load_template()["Parameters"].keys() <= named


def test_every_block_is_closed() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("<!-- generated") == text.count("<!-- /generated -->") == len(BLOCK.findall(text))


def test_the_readme_fits_on_200_lines() -> None:
    assert len(text_of("README.md").splitlines()) <= 200


def test_every_job_has_a_page() -> None:
    assert {page.stem for page in ANSWERED.glob("*.md")} == functions().keys()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]+`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize(
    ("package", "jobs"),
    [
        ("archive", {"cleanup"}),
        ("restore", {"restore"}),
        ("expiry", {"expire_jobs"}),
        ("embedding", {"reembed"}),
        ("feedback", {"feedback"}),
        ("backup", {"rehearse", "restore_backup"}),
    ],
)
def test_every_guard_is_on_the_page_of_its_job(package: str, jobs: set[str]) -> None:
    listed = {name for job in jobs for name in coded(rows_of(text_of(f"docs/jobs/{job}.md"), "Guard"))}
    text = "".join(text_of(f"docs/jobs/{job}.md") for job in jobs)
    raised = guards_of(package)
    assert len(raised) > 5
    assert raised <= set(re.findall(r"`(\w+)`", text))
    archives = guards_of("archive")  # expiry and restores use some of its guards
    assert listed <= raised | archives | MessageCatalog("en").guards.keys(), "a guard that no longer exists"


@pytest.mark.parametrize("job", [job for job in list_jobs(ROOT / "functions") if load_spec(job).request])
def test_event_keys_are_those_of_the_model(job: str) -> None:
    section = text_of(f"docs/jobs/{job}.md").split("\n## Event\n")[1].split("\n## ")[0]
    assert coded(rows_of(section, "Key")) == set(load_object(str(load_spec(job).request)).model_fields)


def test_common_event_keys_are_those_of_the_frame() -> None:
    section = text_of("docs/configuration.md").split("\n## Events\n")[1]
    assert coded(rows_of(section, "Key")) == set(_Input.model_fields)


def toml_of(job: str) -> str:
    (block,) = re.findall(r"```toml\n(.*?)```", text_of(f"docs/jobs/{job}.md"), re.DOTALL)
    return str(block)


def keys_of(model: type[BaseModel]) -> Iterator[str]:
    """A model's fields, and those of the models within."""
    for name, field in model.model_fields.items():
        yield name
        for inner in getattr(field.annotation, "__args__", ()):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from keys_of(inner)


@pytest.mark.parametrize(
    ("job", "section", "model"),
    [
        ("cleanup", "retention", RetentionPolicy),
        ("expire_jobs", "expiry", ExpiryPolicy),
        ("reembed", "embedding", EmbeddingPolicy),
    ],
)
def test_policies_of_the_pages_are_understood_and_have_every_key(
    job: str, section: str, model: type[BaseModel]
) -> None:
    text = toml_of(job)
    assert len(getattr(parse_policies(text, Settings.from_env({}), source=job), section)) == 1
    assert tomllib.loads(text).keys() == {section}
    for key in keys_of(model):
        assert re.search(rf"^(# )?{key} = |^\[\[{section}\.{key}\]\]|\bor {key} = ", text, re.MULTILINE), key


def test_every_step_own_table_and_event_is_explained() -> None:
    text = text_of("docs/architecture.md")
    explained = "\n".join(re.findall(r"^\* .*$", text, re.MULTILINE))
    assert {table.name for table in metadata.sorted_tables} <= set(re.findall(r"`(nightshift_\w+)`", explained))
    assert {step.value for step in ProgressStep} <= set(re.findall(r"`(\w+)`", text))
    events = load_template()["Resources"]["ReembedFunction"]["Properties"]["Events"]["Threshold"]["Properties"]
    assert coded(rows_of(text, "Event")) == set(events["Pattern"]["detail-type"])


def test_files_named_in_tables_exist() -> None:
    for name in ("docs/guarantees.md", "docs/architecture.md", "docs/contributing.md"):
        for path in re.findall(r"`((?:tests|layers|functions|local|benchmarks|events|tools)/[\w/.]*)`", text_of(name)):
            assert (ROOT / path).exists(), f"{name}: {path}"


def test_the_glossary_is_sorted_and_has_thirty_terms() -> None:
    terms = [cell.strip() for cell in rows_of(text_of("docs/architecture.md"), "Term")]
    assert len(terms) >= 30
    assert terms == sorted(terms, key=lambda term: term.strip("`").lower().replace("_", " "))


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page: of its prose, its lists and its tables; without code, and without generated blocks."""
    prose = re.sub(r"```.*?```", "", BLOCK.sub("", text), flags=re.DOTALL)
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    prose = re.sub(r"`[^`\n]+`", "code", prose)
    for line in re.split(r"\n\s*(?:\n|[*#|-] ?|\d+\. )|\|", prose):
        yield from re.split(r"(?<=[.!?])\s+|(?<=\.\*\*)\s+", line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_sentences_are_short(page: Path) -> None:
    long = [s for s in sentences(page.read_text(encoding="utf-8")) if len(s.split()) > LONGEST_SENTENCE]
    assert long == []


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("cron(0 9 ? * MON *)", "Monday, 09:00"),
        ("cron(30 4 * * ? *)", "every day, 04:30"),
        ("cron(0 * * * ? *)", "every hour"),
        ("cron(15 * * * ? *)", "every hour, at minute 15"),
    ],
)
def test_schedules_in_words(expression: str, words: str) -> None:
    assert in_words(expression) == words


@pytest.mark.parametrize("expression", ["rate(7 days)", "cron(0 9 1 * ? *)", "cron(0 9 * * MON *)"])
def test_a_schedule_of_another_form_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expression)):
        in_words(expression)


def test_the_figure_of_packages_names_packages() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    layers = re.findall(r"^ (?:frame|engines|data plane|services|foundation) (.*)$", page, re.MULTILINE)
    named = re.sub(r"\([^)]*\)", "", " ".join(layers)).split()
    assert len(named) > 20
    assert set(named) <= set(ROOMS)
