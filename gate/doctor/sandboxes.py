"""The sandboxes that a gate file's evaluators run programs in: is there one here that holds?"""

from __future__ import annotations

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.evaluators.evaluator import JudgedEvaluator

from ..gate_file import Gate
from ..sandbox.address import sandbox_at
from .finding import Finding, faults_of, ok, warning


def wanted_sandboxes(gate: Gate) -> tuple[str, ...]:
    """Addresses, each once."""
    judged = [one for one in gate.evaluators.values() if isinstance(one, JudgedEvaluator)]
    judges = dict.fromkeys(judge for one in judged for judge in one.judges())
    return tuple(judge for judge in judges if judge.startswith("sandbox:"))


def sandbox_finding(address: str) -> list[Finding]:
    """Looks as a run would: by putting a backend to its self-test, which takes up to two seconds. Where there is none a
    gate still runs, and what it cannot measure does not pass."""
    from ..sandbox.choosing import Unavailable
    from ..sandbox.model import find_backend

    try:
        source = sandbox_at(address)
    except ConfigurationError as error:
        return faults_of(address, error)
    if source is None:
        return []
    found = find_backend(source)
    if isinstance(found, Unavailable):
        reason, _, ways = found.reason.partition("; three ways ")
        said = f"{reason}: metrics that need a program to be run stay unmeasured"
        return [warning(address, said, f"three ways {ways}" if ways else "install bubblewrap, or Docker")]
    return [ok(address, f"{found.name} holds: it contained every probe of its self-test")]
