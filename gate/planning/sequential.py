"""What looking early is worth, before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence

from finetune_gate.evaluators.statistics import expected_information, fixed_drift, group_sequential, stopping


def looks_note(looks: Sequence[float], confidence: float = 0.95) -> str:
    """The share of the examples that a rule at ``confidence`` needs on average, by how good the candidate is. A run
    stops where all rules are clear, so of several rules the slowest counts."""
    alpha = 1 - confidence
    planned = group_sequential(tuple(looks), alpha)
    detectable = fixed_drift(alpha)
    equal, twice = (expected_information(planned, drift) for drift in (0.0, 2 * detectable))
    shares = ", ".join(f"{100 * look:g}" for look in looks)
    at_bound = "where a candidate is at the bound"
    found = 100 * stopping(planned, detectable).power
    return (
        f"judged at {shares} % of the examples: one rule needs {100 * equal:.0f} % of them on average {at_bound}, "
        f"and {100 * twice:.0f} % where it is twice the smallest detectable difference above it; of "
        f"candidates just that difference above it {found:.0f} % pass, not 80"
    )
