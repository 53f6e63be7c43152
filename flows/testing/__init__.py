"""Gates as tests, and what tests of one's own evaluators need.

    def test_may_go_live(gate):                                  # a fixture: pytest finds it by itself
        assert gate("gate.yaml", version="7").decision == "promote"

    from finetune_gate.testing import FakeModel, check_contract  # and more, see ``__all__``

Importing this imports nothing else: pytest does so at every start, wherever this package is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, FinetuneGateError
    from finetune_gate.evaluators.testing import check_contract, made_answer, made_dataset, measured_by, scored_by
    from finetune_gate.gate.models.fake import FakeModel
    from finetune_gate.testing.gated import Gated, Gates, run_gate

_HOMES = {
    "ConfigurationError": "finetune_gate.evaluators.errors",
    "EvaluationError": "finetune_gate.evaluators.errors",
    "FakeModel": "finetune_gate.gate.models.fake",
    "FinetuneGateError": "finetune_gate.evaluators.errors",
    "Gated": "finetune_gate.testing.gated",
    "Gates": "finetune_gate.testing.gated",
    "check_contract": "finetune_gate.evaluators.testing",
    "made_answer": "finetune_gate.evaluators.testing",
    "made_dataset": "finetune_gate.evaluators.testing",
    "measured_by": "finetune_gate.evaluators.testing",
    "run_gate": "finetune_gate.testing.gated",
    "scored_by": "finetune_gate.evaluators.testing",
}

__all__ = [
    "ConfigurationError",
    "EvaluationError",
    "FakeModel",
    "FinetuneGateError",
    "Gated",
    "Gates",
    "check_contract",
    "made_answer",
    "made_dataset",
    "measured_by",
    "run_gate",
    "scored_by",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
