"""Formats sizes and costs for Slack and for the command line."""

from __future__ import annotations


def format_size(count: int) -> str:
    """Returns a number of bytes in decimal units, e.g. `13.2 MB`."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("KB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value:,.1f} TB"


def format_usd(amount: float) -> str:
    """Returns US dollars: with two decimals from $1 on, with four decimals below. Costs above 0 never appear as 0."""
    if 0 < amount < 0.0001:
        return "< $0.0001"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"
