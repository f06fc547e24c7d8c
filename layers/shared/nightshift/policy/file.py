"""Reads the policy file. One error lists every invalid entry, and a file with an invalid entry is not used at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from nightshift.errors import InvalidSettings
from nightshift.policy.retention import RetentionPolicy
from nightshift.settings import Settings

if TYPE_CHECKING:
    from nightshift.policy.embedding import EmbeddingPolicy
    from nightshift.policy.expiry import ExpiryPolicy

M = TypeVar("M", bound=BaseModel)

SECTIONS = ("retention", "expiry", "embedding")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """All policies of one deployment, in the order of the file."""

    retention: tuple[RetentionPolicy, ...] = ()
    expiry: tuple[ExpiryPolicy, ...] = ()
    embedding: tuple[EmbeddingPolicy, ...] = ()


def load_policies(settings: Settings, fetch: Callable[[str], str]) -> PolicyFile:
    """Returns the deployment's policies: from the file in `NIGHTSHIFT_CONFIG`, or the defaults without a file.

    Args:
        fetch: returns the text at a path, an `s3://` address or an `ssm:` name.

    Raises:
        InvalidSettings: the file's content is invalid. `fetch` may raise other errors.
    """
    source = settings.nightshift_config
    return parse_policies(fetch(source), settings, source=source) if source else default_policies(settings)


def default_policies(settings: Settings) -> PolicyFile:
    """Returns the policies without a policy file: retention of `conversation_log` by `created_at`.

    The retention is `LOG_RETENTION_DAYS`. There is no default for expiry: without a policy, nightshift does not know
    the files of the rows, and a deletion would leave these files in S3.
    """
    given = {"table": "conversation_log", "keep_days": settings.log_retention_days, "timezone": settings.timezone}
    return PolicyFile(retention=(RetentionPolicy.model_validate(given),))


def parse_policies(text: str, settings: Settings, *, source: str) -> PolicyFile:
    """Returns the policies of a policy file.

    Args:
        settings: supplies the defaults of `keep_days` and `timezone`.
        source: the file's location, for errors.

    Raises:
        InvalidSettings: an entry is invalid. The error lists every invalid entry.
    """
    import tomllib  # imported here, because deployments without a policy file do not need the module

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise InvalidSettings("the policy file is not TOML", detail=f"{source}: {exc}") from None
    unknown = sorted(set(document) - set(SECTIONS))
    if unknown or not any(isinstance(document.get(section), list) and document[section] for section in SECTIONS):
        raise InvalidSettings(
            "the policy file has no entries" if not unknown else "the policy file has unknown sections",
            detail=f"{source}: {', '.join(unknown) or 'no [[retention]] and no [[expiry]] and no [[embedding]]'}",
            hint="begin each entry with [[retention]], [[expiry]] or [[embedding]], in two brackets",
        )
    problems: list[str] = []
    defaults = {"timezone": settings.timezone}
    kept = {"keep_days": settings.log_retention_days, **defaults}
    # A file without [[retention]] leaves the default retention in force.
    retention = (
        _entries(RetentionPolicy, "retention", document, kept, problems)
        if "retention" in document
        else [*default_policies(settings).retention]
    )
    expiry: list[ExpiryPolicy] = []
    if "expiry" in document:
        from nightshift.policy.expiry import ExpiryPolicy  # imported here, because building the models takes time

        expiry = _entries(ExpiryPolicy, "expiry", document, defaults, problems)
    embedding: list[EmbeddingPolicy] = []
    if "embedding" in document:
        from nightshift.policy.embedding import EmbeddingPolicy  # imported here for the same reason

        embedding = _entries(EmbeddingPolicy, "embedding", document, {}, problems)
    for policies in (retention, expiry, embedding):
        problems += _repeated([policy.table for policy in policies])
    if problems:
        raise InvalidSettings("the policy file is not usable", detail="\n".join(f"{source}: {p}" for p in problems))
    return PolicyFile(tuple(retention), tuple(expiry), tuple(embedding))


def _entries(
    model: type[M], section: str, document: dict[str, Any], defaults: dict[str, Any], problems: list[str]
) -> list[M]:
    """Returns the valid entries of a section, and appends the errors of the invalid entries to `problems`."""
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
