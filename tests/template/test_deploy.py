"""docs/deploy.md, docs/limits-and-costs.md and samconfig.toml agree with the template."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.template.cloudformation import ROOT, Stack, load
from tools.docs.code import EVERY_JOB, jobs_by_metric
from tools.docs.template import functions

DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
LIMITS = (ROOT / "docs" / "limits-and-costs.md").read_text(encoding="utf-8")
SAMCONFIG = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
OFFERED = re.sub(r"^( *)# (?=[\"'])", r"\1", SAMCONFIG, flags=re.MULTILINE)
"""samconfig.toml, the answers that it only suggests included."""
SECRET = re.compile(r"xox[a-z]-|AKIA[A-Z0-9]{16}|postgres(ql)?://[^:/\s]+:[^@\s]+@|BEGIN [A-Z ]*PRIVATE KEY")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
           "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
           "twenty", "twenty-one", "twenty-two", "twenty-three", "twenty-four", "twenty-five", "twenty-six",
           "twenty-seven", "twenty-eight", "twenty-nine", "thirty", "thirty-one", "thirty-two")  # fmt: skip


def costs() -> str:
    """The section on costs."""
    return LIMITS.split("\n## Costs\n", 1)[1]


def overrides(text: str, stage: str) -> dict[str, str]:
    """Parameters that a stage of samconfig.toml sets."""
    settings: dict[str, Any] = tomllib.loads(text)[stage]
    return dict(one.split("=", 1) for one in settings["deploy"]["parameters"]["parameter_overrides"])


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("text", [SAMCONFIG, OFFERED], ids=["as it is", "filled in"])
def test_samconfig_fits_the_template(text: str, stage: str) -> None:
    parameters = load()["Parameters"]
    for name, value in overrides(text, stage).items():
        assert not parameters[name].get("NoEcho"), f"{name} does not belong into a file"
        assert value in map(str, parameters[name].get("AllowedValues", [value]))


def test_samconfig_offers_what_most_stacks_need_and_keeps_no_secret() -> None:
    assert {"DatabaseSecretArn", "SlackSecretArn", "SlackChannel", "SubnetIds"} <= overrides(OFFERED, "prod").keys()
    assert overrides(SAMCONFIG, "prod") == {"CleanupState": "ENABLED"}
    assert not SECRET.search(SAMCONFIG)
    stages = tomllib.loads(SAMCONFIG)
    names = {stages[stage]["global"]["parameters"]["stack_name"] for stage in ("dev", "prod")}
    assert len(names) == 2


def test_five_steps_deploy_by_parameters_that_there_are(stack: Stack) -> None:
    steps = DEPLOY.split("\n## What the stack has\n", 1)[0]
    assert re.findall(r"^## (\d)\. ", steps, re.MULTILINE) == list("12345")
    rows = re.findall(r"^\| (`.*?) \|", steps.split("\n| Parameter | Value |\n", 1)[1], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named and named <= load()["Parameters"].keys()
    # The function and the log group that step 5 calls by name are those of samconfig's stack.
    functions = [function for _, function in stack.of_type("AWS::Lambda::Function")]
    (cleanup,) = (function for function in functions if function["Handler"].startswith("cleanup."))
    group = stack.named_by(cleanup["LoggingConfig"]["LogGroup"])["Properties"]["LogGroupName"]
    prod = tomllib.loads(SAMCONFIG)["prod"]["global"]["parameters"]["stack_name"]
    called = re.findall(r"--function-name (\S+)|logs tail (\S+)", steps)
    assert called == [(cleanup["FunctionName"].replace("teststack", prod), ""), ("", group.replace("teststack", prod))]


def test_the_alarms_that_are_paid_for_are_counted(stack: Stack) -> None:
    alarms = len(list(stack.of_type("AWS::CloudWatch::Alarm")))
    assert f"{NUMBERS[alarms]} alarms at $0.10" in costs()
    assert f"**Fixed.** **${alarms * 0.10 + 2 * 0.40:.2f}**:" in costs()


def metrics_of(job: str) -> str:
    """How many metrics a job writes whose report reaches Slack, in words."""
    writers = [jobs for (name, _), jobs in jobs_by_metric().items() if name != "NotifyFailed"]
    return NUMBERS[sum(job in jobs or EVERY_JOB in jobs for jobs in writers)]


def test_what_is_paid_for_metrics_and_named_for_functions_is_counted() -> None:
    assert f"{metrics_of('cleanup').capitalize()} metrics of `cleanup` at $0.30" in costs()
    assert f"Its {metrics_of('expire_jobs')} metrics" in costs()
    assert f"{NUMBERS[len(functions())].capitalize()} ARNs" in DEPLOY


def test_the_costs_are_computed() -> None:
    """Every figure of the table, from the assumptions beneath it."""
    rows = re.findall(r"^\| ([\d,]+) million .*?\| (\w+) \| ([\d,]+) \| ([\d,]+) GB-s, \$([\d.]+) \| \$([\d.]+) \| "
                      r"([\d,.]+) GB, \$([\d.]+) \| \*\*\$([\d.]+)\*\*", costs(), re.MULTILINE)  # fmt: skip
    assert [row[0] for row in rows] == ["1", "100", "1,000"]
    for row in rows:
        millions, objects, gb_s, *dollars, stored, storage, total = (
            float(cell.replace(",", "")) for cell in row if cell not in ("weekly", "daily")
        )
        runs = {"weekly": 30.4 / 7, "daily": 30.4}[row[1]]
        gb_a_month = millions * 0.36
        assert objects == 30 * -(-gb_a_month / 30 * 1e9 // 2**25)
        assert gb_s == round((millions * 3.51 + objects * 0.05 + runs * 3) * 1769 / 1024)
        assert dollars == pytest.approx([gb_s * 0.0000133334, objects * 0.00485 / 1000], rel=0.1)
        assert stored == pytest.approx(gb_a_month * 12 / 4)
        assert storage == pytest.approx(stored * 0.025, abs=0.005)
        assert total == pytest.approx(gb_s * 0.0000133334 + objects * 0.00485 / 1000 + stored * 0.025, abs=0.005)
