"""Tables of `nightshift.settings.Settings`: variable, template parameter, default, values and description."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from nightshift import settings
from nightshift.settings import Settings
from tools.docs import markdown
from tools.docs.template import parameters_by_variable

WHERE_UNSET = {"archive_bucket": "the stack's own", "backup_bucket": "the stack's own", "event_bus": "the stack's own"}
"""Field → the place of a parameter where the stack sets the variable."""
SET_BY_LAMBDA = {"aws_lambda_function_memory_size"}


@cache
def described_fields() -> Mapping[str, tuple[str, str]]:
    """Returns each field's section, which is the comment above it, and its docstring."""
    source = inspect.getsource(settings)
    lines = source.splitlines()
    (model,) = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == Settings.__name__]
    found: dict[str, tuple[str, str]] = {}
    for node, following in zip(model.body, [*model.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            comments = (re.fullmatch(r"    # (.+)", line) for line in lines[: node.lineno])
            section = [match[1] for match in comments if match][-1]
            found[node.target.id] = section, _docstring(following)
    return found


def _docstring(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def settings_table(section: str) -> str:
    """Returns the settings of a section."""
    schema = Settings.model_json_schema()["properties"]
    rows = []
    for name, (of, meaning) in described_fields().items():
        if of == section and name not in SET_BY_LAMBDA:
            row = (_variable(name), _default(name, schema[name]), _values(schema[name]), meaning)
            rows.append(row)
    assert rows, f"Settings has no section {section!r}"
    return markdown.table(("Variable, parameter", "Default", "Values", "Meaning"), rows)


def _variable(name: str) -> str:
    """Returns the variable and, below it, the parameters of the template."""
    variable = name.upper()
    parameters = parameters_by_variable().get(variable)
    if parameters is None:
        return f"`{variable}`<br>not on Lambda"
    return f"`{variable}`<br>{markdown.code(*parameters) or WHERE_UNSET[name]}"


def _default(name: str, schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "password":
        return markdown.code(Settings.model_fields[name].default.get_secret_value())
    default = schema["default"]
    if default is None:
        return "–"
    if isinstance(default, bool):
        return markdown.code("on" if default else "off")
    return markdown.code(*default) if isinstance(default, list) else markdown.code(str(default))


def _values(schema: Mapping[str, Any]) -> str:
    """Returns the accepted values in words; empty where any text is accepted."""
    if "anyOf" in schema:
        schema = next(part for part in schema["anyOf"] if part["type"] != "null")
    if "enum" in schema:
        return markdown.code(*schema["enum"])
    if schema["type"] == "boolean":
        return markdown.code("on", "off")
    if schema["type"] == "array":
        return f"up to {schema['maxItems' if 'maxItems' in schema else 'maxLength']}, with commas"
    if schema["type"] == "string":
        return ""
    low = f"above {schema['exclusiveMinimum']:g}" if "exclusiveMinimum" in schema else f"{schema['minimum']:g}"
    high = f"below {schema['exclusiveMaximum']:g}" if "exclusiveMaximum" in schema else f"{schema['maximum']}"
    return f"{low} to {high}"
