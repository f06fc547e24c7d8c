"""Reads the policy file; one error names every wrong entry, and a file with errors is not used at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from nightshift.errors import InvalidSettings
from nightshift.policy.retention import RetentionRule
from nightshift.settings import Settings

if TYPE_CHECKING:
    from nightshift.policy.embedding import EmbeddingPolicy
    from nightshift.policy.expiry import ExpiryPolicy

M = TypeVar("M", bound=BaseModel)

SECTIONS = ("retention", "expiry", "embedding")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """All policies of one deployment, in the order in which they are worked off."""

    retention: tuple[RetentionRule, ...] = ()
    expiry: tuple[ExpiryPolicy, ...] = ()
    embedding: tuple[EmbeddingPolicy, ...] = ()


def load_policies(settings: Settings, fetch: Callable[[str], str]) -> PolicyFile:
    """The deployment's policies: from the file that `NIGHTSHIFT_CONFIG` names, or the defaults.

    Args:
        fetch: reads the text behind a path, an `s3://` address or an `ssm:` name.

    Raises:
        InvalidSettings: the file's content is not usable; other errors as `fetch` raises them.
    """
    source = settings.nightshift_config
    if not source:
        return default_policies(settings)
    return parse_policies(fetch(source), settings, source=source)


def default_policies(settings: Settings) -> PolicyFile:
    """Without a policy file: `conversation_log` by `created_at`, `LOG_RETENTION_DAYS`. Nothing expires: whose files
    nobody names would be orphaned."""
    given = {"table": "conversation_log", "keep_days": settings.log_retention_days, "timezone": settings.timezone}
    return PolicyFile(retention=(RetentionRule.model_validate(given),))


def parse_policies(text: str, settings: Settings, *, source: str) -> PolicyFile:
    """Read a policy file.

    Args:
        text: TOML.
        settings: gives the defaults for `keep_days` and `timezone`.
        source: where the text came from, for errors.

    Raises:
        InvalidSettings: lists every entry that is wrong.
    """
    import tomllib  # not for deployments without a file

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise InvalidSettings("the policy file is not TOML", detail=f"{source}: {exc}") from None
    unknown = sorted(set(document) - set(SECTIONS))
    if unknown or not any(_is_list(document.get(section)) for section in SECTIONS):
        raise InvalidSettings(
            "the policy file has no entries" if not unknown else "the policy file has unknown sections",
            detail=f"{source}: {', '.join(unknown) or 'no [[retention]] and no [[expiry]] and no [[embedding]]'}",
            hint="begin each entry with [[retention]], [[expiry]] or [[embedding]], in two brackets",
        )
    problems: list[str] = []
    defaults = {"timezone": settings.timezone}
    kept = {"keep_days": settings.log_retention_days, **defaults}
    # Who writes about other things only goes on archiving what was archived without a file.
    retention = (
        _entries(RetentionRule, "retention", document, kept, problems)
        if "retention" in document
        else [*default_policies(settings).retention]
    )
    expiry: list[ExpiryPolicy] = []
    if "expiry" in document:
        from nightshift.policy.expiry import ExpiryPolicy  # its models take time to build: not for the other jobs

        expiry = _entries(ExpiryPolicy, "expiry", document, defaults, problems)
    embedding: list[EmbeddingPolicy] = []
    if "embedding" in document:
        from nightshift.policy.embedding import EmbeddingPolicy  # as above

        embedding = _entries(EmbeddingPolicy, "embedding", document, {}, problems)
    problems += _repeated([policy.table for policy in retention])
    problems += _repeated([policy.table for policy in expiry])
    problems += _repeated([policy.table for policy in embedding])
    if problems:
        raise InvalidSettings("the policy file is not usable", detail="\n".join(f"{source}: {p}" for p in problems))
    return PolicyFile(tuple(retention), tuple(expiry), tuple(embedding))


def _is_list(section: object) -> bool:
    return isinstance(section, list) and bool(section)


def _entries(
    model: type[M], section: str, document: dict[str, Any], defaults: dict[str, Any], problems: list[str]
) -> list[M]:
    """A section's valid entries; the errors of the others are added to `problems`."""
    entries = document.get(section, [])
    if not isinstance(entries, list):
        problems.append(f"{section}: should be written [[{section}]]")
        return []
    policies = []
    for number, entry in enumerate(entries, 1):
        where = f"[[{section}]] {number}"
        if not isinstance(entry, dict):
            problems.append(f"{where}: should be a table")
            continue
        try:
            policies.append(model.model_validate({**defaults, **entry}))
        except ValidationError as exc:
            problems += [f"{where} ({entry.get('table', '?')}): {problem}" for problem in _problems(exc)]
    return policies


def _problems(exc: ValidationError) -> list[str]:
    problems = []
    for error in exc.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in error["loc"])
        message = "unknown key" if error["type"] == "extra_forbidden" else str(error["msg"])
        problems.append(": ".join(part for part in (name, message.removeprefix("Value error, ")) if part))
    return problems


def _repeated(names: Sequence[str]) -> list[str]:
    return [f"table {name} has more than one policy" for name in sorted({n for n in names if names.count(n) > 1})]
