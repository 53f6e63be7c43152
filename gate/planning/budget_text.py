"""The budget of a plan, in lines."""

from __future__ import annotations

from ..limits import LIMITS, with_unit
from .planned import PlannedBudget, PlannedSpending, Unknown


def budget_lines(budget: PlannedBudget) -> list[str]:
    """What is left to ask of each model behind an API, of all together, and what is allowed::

    judge openai:/gpt-4o: at most 4,140 calls, ~2,000,000 tokens, ~5.20 USD
    allowed: 2,000 calls, 5.00 USD
    """
    asked = [*budget.models]
    if len(asked) > 1 and budget.together is not None:
        asked.append(budget.together)
    lines = [_line(one, budget.currency) for one in asked] or ["nothing is left to ask of an API"]
    if not isinstance(budget.seconds, Unknown):
        lines.append(
            f"asking judges: about {with_unit('seconds', budget.seconds, '').removesuffix(' of asking judges')}"
        )
    limits = [with_unit(name, budget.limits[name], budget.currency) for name in LIMITS if name in budget.limits]
    return [*lines, f"allowed: {', '.join(limits) or 'any: prices are given, and no limit'}"]


def _line(one: PlannedSpending, currency: str) -> str:
    tokens = "tokens unknown" if isinstance(one.tokens, Unknown) else f"~{with_unit('tokens', one.tokens, '')}"
    cost = "cost unknown" if isinstance(one.cost, Unknown) else f"~{with_unit('money', one.cost, currency)}"
    name = f"judge {one.name}" if ":" in one.name else one.name
    return f"{name}: at most {with_unit('calls', one.calls, '')}, {tokens}, {cost}"
