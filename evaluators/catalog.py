"""The evaluators there are. A new one costs one file and one line here; nothing is imported until it is named.

Others come in through the same door: the gate file names ``package.module:Class``, or an installed package lists its
own under the entry point group ``finetune_gate.evaluators``:

    [project.entry-points."finetune_gate.evaluators"]
    politeness = "our_metrics.politeness:Politeness"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from .errors import ConfigurationError, Problem
from .evaluator import EvaluatorSettings

BUILT_IN = {
    "ab_judge": "judging.ab:AbJudge",
    "attribution": "attribution:TokenAttribution",
    "classification": "classification:Classification",
    "code_generation": "code_generation:CodeGeneration",
    "consistency": "consistency:Consistency",
    "finetunebench": "finetunebench:FineTuneBench",
    "holdout": "holdout:Holdout",
    "human": "people.human:Human",
    "multiple_choice": "multiple_choice:MultipleChoice",
    "overfitting": "overfitting:Overfitting",
    "perplexity": "perplexity:Perplexity",
    "question_answering": "question_answering:QuestionAnswering",
    "rubric_judge": "judging.rubric:RubricJudge",
    "summarization": "summarization:Summarization",
    "text_match": "text_match:TextMatch",
}

GROUP = "finetune_gate.evaluators"
_ADDRESS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@cache
def installed() -> Mapping[str, EntryPoint]:
    """Evaluators of installed packages by kind. Raises ConfigurationError where two packages, or a package and this
    one, use one name."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        rival = found.get(entry.name)
        if entry.name in BUILT_IN or (rival is not None and rival.value != entry.value):
            other = "this package" if rival is None else _package(rival)
            raise ConfigurationError(
                Problem(
                    f"entry point {entry.name!r} of group {GROUP!r}",
                    f"{_package(entry)} and {other} both have an evaluator of that name",
                    "unique names",
                    "uninstall one, or name the class in the gate file as package.module:Class",
                )
            )
        found[entry.name] = entry
    return found


def kinds() -> tuple[str, ...]:
    """Every name that a gate file can use, besides addresses."""
    return (*BUILT_IN, *installed())


def is_known(kind: str) -> bool:
    """Whether ``evaluator_class`` has something to try. Packages are only looked through for a name that is not built
    in: that takes longer than checking a gate file."""
    return kind in BUILT_IN or is_address(kind) or kind in installed()


def is_address(kind: str) -> bool:
    """Whether ``kind`` is spelled ``package.module:Class``."""
    return _ADDRESS.fullmatch(kind) is not None


def evaluator_class(kind: str) -> type[EvaluatorSettings]:
    """``evaluator_class("perplexity")``, ``evaluator_class("our_metrics.politeness:Politeness")``.

    Raises KeyError for an unknown name, ConfigurationError where what is named cannot be imported or is no evaluator.
    """
    if kind in BUILT_IN:
        module_name, _, class_name = BUILT_IN[kind].partition(":")
        found: type[EvaluatorSettings] = getattr(import_module(f".{module_name}", __package__), class_name)
        return found
    return _foreign(kind, kind if is_address(kind) else installed()[kind].value)


def _foreign(kind: str, address: str) -> type[EvaluatorSettings]:
    module_name, _, class_name = address.partition(":")
    try:
        found: object = getattr(import_module(module_name), class_name)
    except Exception as error:
        raise ConfigurationError(
            Problem(
                f"evaluator {kind!r}",
                f"{type(error).__name__}: {error}",
                f"a class {class_name!r} in an importable module {module_name!r}",
                "install the package that holds it, or put its folder on PYTHONPATH",
            )
        ) from error
    if not (isinstance(found, type) and issubclass(found, EvaluatorSettings)):
        raise ConfigurationError(
            Problem(f"evaluator {kind!r}", f"{address} is no evaluator", "a subclass of EvaluatorSettings")
        )
    return found


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
