"""What a budget limits, and how amounts of it are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .gate_file.settings import BudgetSettings

Limit = Literal["calls", "tokens", "money", "seconds"]
LIMITS: tuple[Limit, ...] = ("calls", "tokens", "money", "seconds")


def spending_text(amounts: Mapping[Limit, float], limits: Mapping[Limit, float], currency: str) -> str:
    """``1,204 of 2,000 calls, 812,001 tokens, 1.23 of 5.00 USD``: what was spent, of what where there is a limit. Time
    only where it is limited."""
    return ", ".join(
        of_limit(name, amounts[name], limits.get(name), currency)
        for name in LIMITS
        if name in amounts and (name != "seconds" or name in limits)
    )


def given_limits(limits: BudgetSettings) -> dict[Limit, float]:
    """Those that the gate file gives."""
    all_limits: dict[Limit, float | None] = {
        "calls": limits.calls, "tokens": limits.tokens, "money": limits.money, "seconds": limits.seconds
    }  # fmt: skip
    return {name: limit for name, limit in all_limits.items() if limit is not None}


def amount_text(limit: Limit, amount: float) -> str:
    """``2,000``; money as ``5.00``, and what is less than a cent to six decimals."""
    if limit != "money":
        return f"{amount:,.0f}" if amount >= 10 or amount == int(amount) else f"{amount:.2g}"
    return f"{amount:.6f}".rstrip("0") if 1e-6 <= amount < 0.01 else f"{amount:,.2f}"


def of_limit(name: Limit, amount: float, limit: float | None, currency: str) -> str:
    """``1.23 of 5.00 USD``; ``1.23 USD`` where there is no limit."""
    if limit is None:
        return with_unit(name, amount, currency)
    return f"{amount_text(name, amount)} of {with_unit(name, limit, currency)}"


def with_unit(limit: Limit, amount: float, currency: str) -> str:
    """``2,000 calls``, ``5.00 USD``."""
    shown = amount_text(limit, amount)
    match limit:
        case "calls":
            return f"{shown} call{'' if amount == 1 else 's'}"
        case "tokens":
            return f"{shown} tokens"
        case "money":
            return f"{shown} {currency}"
        case "seconds":
            return f"{shown} seconds of asking judges"
