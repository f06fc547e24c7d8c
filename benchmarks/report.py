"""From runs to medians and ratios, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.stopwatch import Measured


def summary(runs: Sequence[Measured], rows: int) -> dict[str, Any]:
    """One contestant's line.

    Args:
        runs: its rounds, all on the same number of rows.
        rows: the number to report for; times grow in proportion where the runs were on fewer.
    """
    measured = runs[0].rows
    seconds = sorted(run.seconds * rows / measured for run in runs)
    out: dict[str, Any] = {
        "median_s": round(median(seconds), 3),
        "min_s": round(seconds[0], 3),
        "max_s": round(seconds[-1], 3),
        "rows_per_s": round(rows / median(seconds)),
        "peak_mb": round(max(run.peak_mb for run in runs), 1),
    }
    if measured != rows:
        out["scaled_from"] = measured
    return out


def ratios(contestants: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How many times as long as nightshift each other contestant takes."""
    if "nightshift" not in contestants:
        return {}
    ours = contestants["nightshift"]["median_s"]
    return {
        f"{name}/nightshift": round(other["median_s"] / ours, 2)
        for name, other in contestants.items()
        if name != "nightshift"
    }


def table(result: Mapping[str, Any], how: Mapping[str, str], how_restored: Mapping[str, str]) -> str:
    """The result for people."""
    machine = result["machine"]
    settings = ", ".join(f"{name} {value}" for name, value in machine["postgres"].items() if name != "server_version")
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, Python {machine['python']},"
        f" load {machine['load_average']} before the first run",
        f"PostgreSQL {machine['postgres']['server_version']} on the same machine: {settings}",
        "",
        *_contest("archived and deleted", result, how),
    ]
    if "restore" in result:
        lines += ["", *_contest("restored into a table without indexes", result["restore"], how_restored)]
    return "\n".join(lines)


def _contest(done: str, result: Mapping[str, Any], how: Mapping[str, str]) -> list[str]:
    contestants = result["contestants"]
    lines = [
        f"{result['rows']:,} rows {done}, median of {result['rounds']} rounds",
        f"{'':12}{'seconds':>9}{'min–max':>16}{'rows/s':>12}{'peak MB':>9}",
    ]
    for name, found in contestants.items():
        spread = f"{found['min_s']:.2f}–{found['max_s']:.2f}"
        lines.append(
            f"{name:12}{found['median_s']:>9.2f}{spread:>16}{found['rows_per_s']:>12,}{found['peak_mb']:>9.0f}"
            + (f"   time scaled from {found['scaled_from']:,} rows" if "scaled_from" in found else "")
        )
    lines += ["", *(f"{name:12}{how[name]}" for name in contestants)]
    return [*lines, "", *(f"{pair}: {ratio:.2f}" for pair, ratio in result["ratios"].items())]
