"""Decide: measurements and rules in, decision out. Pure and total: no I/O, no clock, no registry, no exception.

Promotion needs positive proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finetune_gate.evaluators.measurement import Measurement

from ..gate_file.rules import Rule
from .checking import judge
from .terms import Circumstances, Decision, Required
from .wording import proof_sentence, verdict_sentence


def decide(
    rules: Sequence[Rule],
    measurements: Mapping[int, Measurement],
    circumstances: Circumstances,
    required: Mapping[int, Sequence[Required]] | None = None,
) -> Decision:
    """``measurements[i]`` belongs to ``rules[i]``, and so does what it requires; a rule without one is unmeasured.
    A rule with ``slices`` needs a `SlicedMeasurement`."""
    needs = required or {}
    results = tuple(
        judge(index, rule, measurements.get(index), needs.get(index, ()), circumstances)
        for index, rule in enumerate(rules)
    )
    review = circumstances.review
    blocking = [result for result in results if result.rule.severity == "block"]
    failed = [result for result in blocking if result.outcome == "failed"]
    if failed:
        return Decision("block", verdict_sentence("Block", failed), results)
    if review is not None and review.verdict == "block":
        return Decision("block", f"Block: {review.reviewer} decided so in review: {review.reason}.", results)
    if circumstances.identical:
        names = " and ".join(circumstances.identical)
        return Decision("hold", f"Hold: the candidate's files are identical to the {names}'s.", results)
    unsettled = [result for result in blocking if result.outcome not in ("passed", "waived")]
    if unsettled:
        return Decision("hold", verdict_sentence("Hold", unsettled), results)
    passed = [result for result in blocking if result.outcome == "passed"]
    if not passed:
        return Decision("hold", "Hold: no blocking rule passed by measurement.", results)
    if circumstances.files_changed is not None:
        way_out = "see who writes there, and gate it again"
        sentence = f"Hold: every blocking rule passed, but meanwhile {circumstances.files_changed}; {way_out}."
        return Decision("hold", sentence, results)
    if circumstances.champion_moved is not None:
        sentence = f"Hold: every blocking rule passed, but meanwhile {circumstances.champion_moved}; gate it again."
        return Decision("hold", sentence, results)
    proof = proof_sentence(passed, results, circumstances)
    if circumstances.approval_required and (review is None or review.verdict != "approve"):
        sentence = f"Hold: {proof}; promotion waits for a person's approval."
        return Decision("hold", sentence, results, awaits_approval=True)
    return Decision("promote", f"Promote: {proof}.", results)
