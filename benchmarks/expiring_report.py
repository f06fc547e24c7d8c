"""From runs of `benchmarks.expiring` to medians, ratios and memory, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.run_expiring import SHARES, Run

YARDSTICK = "psql"
"""Its time is 1."""


def summary(runs: Mapping[str, Sequence[Run]], rows: int) -> dict[str, dict[str, Any]]:
    """From runs to medians; ratios are to the yardstick, where it took part.

    Memory is that of the run with the highest peak.
    """
    medians = {name: median(run.seconds for run in found) for name, found in runs.items()}
    out: dict[str, dict[str, Any]] = {}
    for name, found in runs.items():
        hungriest = max(found, key=lambda run: run.peak_mb)
        out[name] = {
            "median_s": round(medians[name], 3),
            "min_s": round(min(run.seconds for run in found), 3),
            "max_s": round(max(run.seconds for run in found), 3),
            "rows_per_s": round(rows / medians[name]),
        }
        if YARDSTICK in medians:
            out[name]["ratio"] = round(medians[name] / medians[YARDSTICK], 2)
        if hungriest.resident_mb:
            out[name]["peak_mb"] = round(hungriest.peak_mb, 1)
            out[name]["resident_mb"] = dict(zip(map(str, SHARES), hungriest.resident_mb, strict=True))
    return out


def table(result: Mapping[str, Any], how: Mapping[str, str]) -> str:
    """The result for people."""
    on = result["machine"]
    shares = "".join(f"{f'{share} %':>8}" for share in SHARES)
    lines = [
        f"{on['cpu']}, {on['cores']} cores, PostgreSQL {on['postgres']['server_version']} on the same machine,"
        f" load {on['load_average']} before the first run",
        f"{result['expired']:,} expired jobs, {result['rows']:,} rows, {result['files']:,} files;"
        f" {result['living']:,} jobs stay; median of {result['rounds']} rounds",
        "",
        f"{'':12}{'seconds':>9}{'min–max':>16}{'rows/s':>12}{'ratio':>7}{'peak MB':>9}   resident MB at{shares}",
    ]
    for name, found in result["contestants"].items():
        spread = f"{found['min_s']:.2f}–{found['max_s']:.2f}"
        line = f"{name:12}{found['median_s']:>9.2f}{spread:>16}{found['rows_per_s']:>12,}{found.get('ratio', '–'):>7}"
        if "peak_mb" in found:
            line += f"{found['peak_mb']:>9.0f}{'':17}" + "".join(f"{mb:>8.0f}" for mb in found["resident_mb"].values())
        lines.append(line)
    return "\n".join([*lines, "", *(f"{name:12}{how[name]}" for name in result["contestants"])])
