"""What asking came to, and what was not asked because the budget was at its end."""

from __future__ import annotations

from ..limits import spending_text
from ..record import DecisionRecord


def spending_sentence(record: DecisionRecord) -> str | None:
    """``Judges and APIs: 1,204 of 2,000 calls, 812,001 tokens, 1.23 of 5.00 USD.`` None without a budget."""
    budget = record.run.budget
    if budget is None:
        return None
    return f"Judges and APIs: {spending_text(budget.spent, budget.limits, budget.currency)}."


def unasked_remarks(record: DecisionRecord) -> list[str]:
    """One for each limit that left something unasked."""
    unasked = {} if record.run.budget is None else record.run.budget.unasked
    return [
        f"{reason[:1].upper()}{reason[1:]}: {count:,} answer{' is' if count == 1 else 's are'} missing. "
        "What was answered is kept; another run goes on from there."
        for reason, count in unasked.items()
    ]
