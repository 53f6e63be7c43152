"""What can be known of a budget without asking the registry: prices that are missing, and prices of nothing."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

from finetune_gate.evaluators.errors import Problem
from finetune_gate.evaluators.evaluator import Evaluator, JudgedEvaluator

from .settings import GateFile

_OPENAI = "openai"
_CLOSE = 0.8

Place = Callable[[Sequence[str | int]], str]
"""Where in the file some keys are: line and key path."""


def budget_problems(file: GateFile, evaluators: Iterable[Evaluator], place: Place) -> list[Problem]:
    """Which API a registered version or a claimed base is behind, only a run knows: so a price for another model at
    ``openai:/`` may be theirs, unless it looks like one that is mistyped."""
    if file.budget is None:
        return []
    judges = [judge for one in evaluators if isinstance(one, JudgedEvaluator) for judge in one.judges()]
    known = [address for address in dict.fromkeys((file.base, *judges)) if _api(file, address)]
    problems: list[Problem] = []
    unpriced = [address for address in known if address not in file.budget.prices]
    if file.budget.money is not None:
        problems += [
            Problem(
                place(("budget", "money")),
                f"no price for {address!r}, which this gate asks",
                f'prices: {{"{address}": {{input: 2.5, output: 10.0}}}}, per million tokens; 0 where it costs nothing',
                "give it a price, or limit calls or tokens instead of money",
            )
            for address in unpriced
        ]
    for address in file.budget.prices:
        where = place(("budget", "prices", address))
        api = _api(file, address)
        if api is None:
            way_out = f"one of {', '.join(known)}" if known else "openai:/NAME, or an API declared under endpoints"
            problems.append(Problem(where, "a price for what is no model behind an API of this gate", way_out=way_out))
        elif address not in known and (api != _OPENAI and file.base != "auto"):
            problems.append(Problem(where, "a price for a model that this gate does not ask", way_out=_one_of(known)))
        elif address not in known and (close := difflib.get_close_matches(address, unpriced, n=1, cutoff=_CLOSE)):
            way_out = f"did you mean {close[0]!r}? If not, give that one a price too"
            problems.append(Problem(where, "a price for a model that neither base nor a judge is", way_out=way_out))
    return problems


def _api(file: GateFile, address: str) -> str | None:
    """The API's name that ``address`` begins with."""
    name, _, model = address.partition(":/")
    return name if model and (name in file.endpoints or name == _OPENAI) else None


def _one_of(known: Sequence[str]) -> str:
    return f"one of {', '.join(known)}" if known else "leave it out: no model of this gate is known to be behind an API"
