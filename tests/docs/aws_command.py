"""The AWS CLI of these tests: reads a command line by boto3's own descriptions of the services.

It ends with the CLI's status 252 if there is no such service, operation or option, or if a value does not fit.
`s3api get-object` is sent to S3. No other call is sent: its answer is `{}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

USAGE = 252
GLOBAL_OPTIONS = {"--query", "--output", "--region", "--profile", "--cli-read-timeout", "--cli-binary-format"}
SERVICES = {"s3api": "s3"}
"""The CLI's name of a service → boto3's."""
OF_THE_CLI_ALONE = {("logs", "tail"): {"--since", "--follow", "--format"}}


class NotUnderstood(Exception):
    """The AWS CLI would not take this command line."""


def split_options(words: Sequence[str]) -> tuple[Mapping[str, str], list[str]]:
    """Returns the options with their values, and the other words."""
    options: dict[str, str] = {}
    others = []
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            options[word] = next(rest, "")
        else:
            others.append(word)
    return options, others


def read_call(service: str, operation: str, words: Sequence[str]) -> tuple[Mapping[str, Any], list[str]]:
    """Returns the parameters of the call, and the file that takes its output.

    Raises:
        NotUnderstood: see above.
    """
    options, others = split_options(words)
    try:
        model = botocore.session.get_session().get_service_model(SERVICES.get(service, service))
        name = {xform_name(known, "-"): known for known in model.operation_names}[operation]
        call = model.operation_model(name)
        assert call.input_shape is not None
        members = {f"--{xform_name(member, '-')}": member for member in call.input_shape.members}
        given = {members[option]: value for option, value in options.items() if option not in GLOBAL_OPTIONS}
    except (KeyError, botocore.exceptions.UnknownServiceError) as exc:
        raise NotUnderstood(f"{service} {operation}: {exc}") from exc
    parameters = {member: _typed(call.input_shape.members[member], value) for member, value in given.items()}
    report = ParamValidator().validate(parameters, call.input_shape)
    if report.has_errors():
        raise NotUnderstood(report.generate_report())
    if len(others) != int(call.has_streaming_output):
        raise NotUnderstood(f"{service} {operation} takes {int(call.has_streaming_output)} file: {others}")
    return parameters, others


def _typed(shape: Any, value: str) -> Any:
    """Returns a value as its parameter has it."""
    if shape.type_name in ("structure", "list", "map"):
        return json.loads(value)
    if shape.type_name in ("integer", "long"):
        return int(value)
    return value.encode() if shape.type_name == "blob" else value


def main(service: str, operation: str, *words: str) -> int:
    """Runs a command line; returns its exit status."""
    if (service, operation) in OF_THE_CLI_ALONE:
        options, _ = split_options(words)
        return USAGE if options.keys() - OF_THE_CLI_ALONE[service, operation] else 0
    try:
        parameters, files = read_call(service, operation, words)
    except NotUnderstood as error:
        print(error, file=sys.stderr)
        return USAGE
    if (service, operation) == ("s3api", "get-object"):
        body = boto3.client("s3").get_object(**parameters)["Body"]
        Path(files[0]).write_bytes(body.read())
    print("{}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
