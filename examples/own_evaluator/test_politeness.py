from politeness import Politeness

from finetune_gate.evaluators.asking import Generation
from finetune_gate.evaluators.testing import check_contract, made_answer, made_dataset, measured_by

DATA = {"prompts": made_dataset("prompts", [{"text": f"Where is order {n}?"} for n in range(30)])}


def test_it_keeps_the_contract() -> None:
    check_contract(Politeness(data="prompts"), DATA)


def test_polite_answers_count() -> None:
    kind = Generation("Sorry for that, please wait.", "stop", 6)
    found = measured_by(Politeness(data="prompts"), DATA, {"candidate": lambda _: kind, "base": made_answer})
    assert found["polite"].candidate.value == 1.0
