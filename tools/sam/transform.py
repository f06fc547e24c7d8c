"""The real SAM transform as a filter: one JSON object per line in, one per line out.

In: `{"template": …, "parameters": {…}}`. Out: `{"template": …}`, or `{"error": "…"}` where SAM refuses. Run by
`.venv-sam`'s Python: the translator's own dependencies differ from ours.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

PACKAGED = "s3://bucket/asset.zip"


def package(template: dict[str, Any]) -> dict[str, Any]:
    """Local folders become S3 addresses, as `sam package` would make them: the transform refuses folders."""
    sections = [template.get("Globals", {}).get("Function", {})]
    sections += [resource.get("Properties", {}) for resource in template["Resources"].values()]
    for section in sections:
        section.update({name: PACKAGED for name in ("CodeUri", "ContentUri") if name in section})
    return template


def transform(template: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """The template as CloudFormation gets it."""
    translated: dict[str, Any] = Translator({}, Parser()).translate(package(template), parameters)
    return translated


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer: dict[str, Any] = {"template": transform(request["template"], request["parameters"])}
        except InvalidDocumentException as exc:
            answer = {"error": "; ".join(cause.message for cause in exc.causes)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
