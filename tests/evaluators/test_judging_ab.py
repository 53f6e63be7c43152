"""Judges of every character, and what becomes of their verdicts."""

from __future__ import annotations

import random
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging_court import (
    DATA,
    NUMBER,
    Trial,
    ab,
    always_first,
    blank,
    brief,
    contrary,
    fails,
    indifferent,
    judges_by,
    likes_longer,
    number,
    obeys,
    obeys_to_the_letter,
    perfect,
    quality,
    read,
    right,
    right_on,
    says,
    truth,
    verdict,
    written,
)

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, ChooseRequest, GenerateRequest, Generation, Request
from finetune_gate.evaluators.evaluator import Evaluator
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.evaluators.testing import Script, check_contract, made_dataset

BOTH = {"candidate": right, "base": brief}
HALF = {"candidate": right_on(lambda at: at < 15), "base": brief}
CONTROLS = ("control_identical", "control_worse", "control_injections")


@pytest.mark.parametrize("kind", ["structured", "logprobs"])
def test_a_judge_who_sees_is_believed(kind: str) -> None:
    trial = Trial(ab(verdict=kind), BOTH)
    assert trial.value("win_rate") == pytest.approx(1.0 if kind == "structured" else 0.9)
    assert [trial.value(name) for name in CONTROLS] == [1.0, 1.0, 1.0]
    assert trial.value("flip_rate") == 0.0
    assert trial.value("first_slot_preference") == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["structured", "logprobs"])
def test_a_judge_of_slots_knows_nothing_and_is_exposed(kind: str) -> None:
    trial = Trial(ab(verdict=kind), BOTH, always_first)
    assert trial.value("win_rate") == 0.5
    assert trial.value("flip_rate") == 1.0
    assert trial.value("first_slot_preference") == pytest.approx(1.0 if kind == "structured" else 0.9)
    assert trial.value("control_identical") == 0.0
    assert trial.value("control_worse") == 0.0
    assert trial.value("control_injections") == 0.5


def test_a_judge_who_sees_nothing_ties_everything_and_is_exposed() -> None:
    trial = Trial(ab(), BOTH, indifferent)
    assert trial.value("win_rate") == 0.5
    assert [trial.value(name) for name in CONTROLS] == [1.0, 0.0, 1.0]


def test_a_judge_who_prefers_the_worse_is_exposed() -> None:
    trial = Trial(ab(), BOTH, contrary)
    assert trial.value("win_rate") == 0.0
    assert trial.value("control_worse") == 0.0


@pytest.mark.parametrize("judge", [obeys, obeys_to_the_letter])
def test_a_judge_who_obeys_what_he_reads_fails_his_control(judge: Script) -> None:
    trial = Trial(ab(), BOTH, judge)
    assert trial.value("control_worse") == 1.0
    floor = next(one.least for one in ab().metrics()[0].requires if one.metric == "control_injections")
    assert trial.value("control_injections") < floor


def test_a_judge_of_length_is_exposed() -> None:
    longer = says(lambda at: f"{truth(at)}, and much else could be said of it, at any length that you like")
    trial = Trial(ab(), {"candidate": longer, "base": right}, likes_longer)
    assert trial.value("win_rate") == 1.0
    assert trial.value("longer_win_rate") == 1.0
    assert trial.value("control_worse") < 1.0
    assert Trial(ab(), {"candidate": longer, "base": right}, perfect).value("longer_win_rate") == 0.0


def test_controlling_for_length_takes_the_advantage_of_length_away() -> None:
    padded = says(lambda at: f"{truth(at)} {'and so on ' * (at % 6)}".strip())
    mostly = judges_by(lambda question, answer: len(answer) + 30 * random.Random(answer).random())
    trial = Trial(ab(controls=0), {"candidate": padded, "base": says(lambda at: truth(at) + " ok")}, mostly)
    assert trial.value("win_rate") > 0.6
    assert abs(trial.value("length_controlled_winrate") - 0.5) < trial.value("win_rate") - 0.5


@pytest.mark.parametrize(
    ("verdicts", "win", "flipped"),
    [
        (("first", "second"), 1.0, 0.0),
        (("second", "first"), 0.0, 0.0),
        (("tie", "tie"), 0.5, 0.0),
        (("first", "first"), 0.5, 1.0),
        (("second", "second"), 0.5, 1.0),
        (("first", "tie"), 0.5, 1.0),
        (("tie", "first"), 0.5, 1.0),
    ],
)
def test_a_win_survives_the_swap(verdicts: tuple[str, str], win: float, flipped: float) -> None:
    """``verdicts``: with the candidate's answer first, and second."""

    def judge(request: Request) -> Answer:
        question, first, _ = read(request)
        return verdict(verdicts[0] if first == truth(number(question)) else verdicts[1])

    trial = Trial(ab(controls=0), BOTH, judge)
    assert trial.value("win_rate") == win
    assert trial.value("flip_rate") == flipped


def test_swapping_the_models_swaps_the_result() -> None:
    noisy = judges_by(lambda question, answer: random.Random(question + answer).random())
    for kind in ("structured", "logprobs"):
        ours = Trial(ab(verdict=kind), HALF, noisy).value("win_rate")
        theirs = Trial(ab(verdict=kind), {"candidate": HALF["base"], "base": HALF["candidate"]}, noisy)
        assert ours + theirs.value("win_rate") == pytest.approx(1.0)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["first", "second", "tie", "?"]), min_size=8, max_size=8), st.integers(0, 3))
def test_no_judge_can_favour_a_side(said: list[str], seed: int) -> None:
    """Whatever it says, by whatever rule of texts and slots: the two results sum to one, or neither is known."""

    def judge(request: Request) -> Answer:
        chosen = said[int(random.Random(f"{seed}{written(request)}").random() * len(said))]
        return Generation("I would rather not", "stop", 4) if chosen == "?" else verdict(chosen)

    forth = Trial(ab(controls=0), BOTH, judge).scores().columns["base"]["win"]
    back = Trial(ab(controls=0), {"candidate": brief, "base": right}, judge).scores().columns["base"]["win"]
    for one, other in zip(forth, back, strict=True):
        if isinstance(one, Unmeasured) or isinstance(other, Unmeasured):
            assert isinstance(one, Unmeasured)
            assert isinstance(other, Unmeasured)
        else:
            assert one + other == 1.0


@pytest.mark.parametrize(
    "reply",
    [
        Generation("I cannot judge these answers.", "stop", 6),
        Generation('{"rationale": "x", "verdict": "first"}', "length", 512),
        Generation("[[A]]", "stop", 3),
        Generation("", "stop", 0),
    ],
)
def test_what_cannot_be_read_is_unscored(reply: Answer) -> None:
    trial = Trial(ab(), BOTH, lambda request: reply)
    for name in ("win_rate", "length_controlled_winrate", "flip_rate", *CONTROLS):
        assert isinstance(trial.found(name), Unmeasured), name
    assert all(isinstance(value, Unmeasured) for value in trial.scores().columns["base"]["win"])


def test_a_few_unscored_examples_count_against_the_candidate() -> None:
    def mostly(request: Request) -> Answer:
        return fails(request) if "depot 7?" in written(request) else perfect(request)

    trial = Trial(ab(controls=5, seed=3), BOTH, mostly)
    assert trial.measured()["win_rate"].scored["base"] == NUMBER - 1
    assert trial.value("win_rate") == pytest.approx(1 - 1 / NUMBER)

    def hardly(request: Request) -> Answer:
        return fails(request) if number(read(request)[0]) % 5 == 0 else perfect(request)

    found = Trial(ab(), BOTH, hardly).found("win_rate")
    assert isinstance(found, Unmeasured)
    assert "the server is on fire" in found.reason


def test_one_order_without_a_verdict_is_no_verdict() -> None:
    def half(request: Request) -> Answer:
        question, first, _ = read(request)
        return perfect(request) if first == truth(number(question)) else fails(request)

    assert isinstance(Trial(ab(), BOTH, half).found("win_rate"), Unmeasured)


def test_an_answer_that_failed_is_not_judged() -> None:
    partly = right_on(lambda at: at != 3, otherwise=fails)
    trial = Trial(ab(), {"candidate": partly, "base": brief})
    value = trial.scores().columns["base"]["win"][3]
    assert value == Unmeasured("candidate: the server is on fire")
    real = [read(one) for one in trial.asked()["openai:/judge"] if truth(number(read(one)[0])) in read(one)[1:]]
    assert 3 not in {number(question) for question, _, _ in real}
    assert trial.value("win_rate") == pytest.approx(1 - 1 / NUMBER)


def test_identical_answers_ask_nothing() -> None:
    spaced = says(lambda at: f"  {truth(at)}\n")
    trial = Trial(ab(controls=0), {"candidate": right, "base": spaced})
    assert trial.asked() == {"openai:/judge": []}
    assert trial.value("win_rate") == 0.5
    assert isinstance(trial.found("flip_rate"), Unmeasured)
    assert isinstance(trial.found("longer_win_rate"), Unmeasured)


def test_a_blank_answer_is_an_answer() -> None:
    trial = Trial(ab(), {"candidate": blank, "base": right})
    assert trial.value("win_rate") == 0.0
    assert Trial(ab(), {"candidate": right, "base": blank}).value("win_rate") == 1.0
    both = Trial(ab(controls=0), {"candidate": blank, "base": blank})
    assert both.value("win_rate") == 0.5
    assert both.asked() == {"openai:/judge": []}


def test_the_same_answers_make_the_same_requests() -> None:
    models = {"candidate": right, "base": brief, "champion": right_on(lambda at: at % 2 == 0)}
    asked = Trial(ab(judge=["openai:/a", "openai:/b"]), models).asked()
    again = Trial(ab(judge=["openai:/a", "openai:/b"]), dict(reversed(models.items()))).asked()
    assert asked == again
    assert asked["openai:/a"] == asked["openai:/b"]
    assert len(set(asked["openai:/a"])) == len(asked["openai:/a"])
    assert Trial(ab(judge=["openai:/a", "openai:/b"], seed=1), models).asked() != asked


def test_controls_come_first_and_then_example_by_example() -> None:
    models = {"candidate": right, "base": brief, "champion": blank}
    questions = [read(one) for one in Trial(ab(controls=4), models).asked()["openai:/judge"]]
    controls, real = questions[: 4 * (1 + 2 + 2)], questions[4 * (1 + 2 + 2) :]
    assert all(first == second for _, first, second in controls[:4])
    assert len(real) == NUMBER * 2 * 2
    for start in range(0, len(real), 4):
        assert len({question for question, _, _ in real[start : start + 4]}) == 1
    order = [number(question) for question, _, _ in real[::4]]
    assert sorted(order) == list(range(NUMBER))
    assert order != sorted(order)


@pytest.mark.parametrize("settings", [{}, {"repeats": 3}, {"verdict": "logprobs"}, {"controls": 100}])
def test_no_more_calls_than_were_announced(settings: dict[str, object]) -> None:
    evaluator = ab(judge=["openai:/a", "models:/b/1"], **settings)
    models = {"candidate": right, "base": brief, "champion": blank}
    most = evaluator.judge_calls(DATA)
    for judge, asked in Trial(evaluator, models).asked().items():
        assert 0 < len(asked) <= most[judge]


def test_verdicts_by_log_probabilities_ask_for_a_choice() -> None:
    asked = Trial(ab(verdict="logprobs"), BOTH).asked()["openai:/judge"]
    assert all(isinstance(one, ChooseRequest) for one in asked)


def test_repeats_are_other_draws_and_are_averaged() -> None:
    def wavering(request: Request) -> Answer:
        assert isinstance(request, GenerateRequest)
        return perfect(request) if request.sample < 3 else verdict("tie")

    trial = Trial(ab(repeats=4, temperature=0.7, controls=0), BOTH, wavering)
    asked = trial.asked()["openai:/judge"]
    assert len(asked) == NUMBER * 2 * 4
    assert {one.sample for one in asked if isinstance(one, GenerateRequest)} == {0, 1, 2, 3}
    assert trial.value("win_rate") == pytest.approx(0.875)


def test_champion_and_base_are_two_pairs() -> None:
    models = {"candidate": right, "base": brief, "champion": right}
    trial = Trial(ab(), models)
    assert trial.value("win_rate", "base") == 1.0
    assert trial.value("win_rate", "champion") == 0.5
    columns = trial.scores().columns
    assert all(isinstance(value, Unmeasured) for value in columns["candidate"]["win"])
    assert columns["candidate"]["part"] == columns["champion"]["part"] == columns["base"]["part"]
    assert set(columns["candidate"]) == set(columns["base"]) == set(columns["champion"])


def test_a_candidate_alone_is_compared_with_nobody() -> None:
    trial = Trial(ab(), {"candidate": right})
    columns = trial.scores().columns["candidate"]
    assert {"part", "win", "control_worse"} <= set(columns)
    assert all(isinstance(value, Unmeasured) for value in columns["win"])
    assert trial.asked() == {"openai:/judge": []}
    assert trial.findings() == []


def test_one_example() -> None:
    data = {"questions": made_dataset("questions", [{"question": "Where is depot 4?"}])}
    trial = Trial(ab(), BOTH, data=data)
    assert [example.id for example in trial.evaluator.examples(data)] == [
        "0", "control/identical/0", "control/worse/0", "control/injection/0",
    ]  # fmt: skip
    assert trial.scores().columns["base"]["win"][0] == 1.0


def test_controls_that_cannot_be_made_say_so() -> None:
    same = says(lambda at: "yes")
    trial = Trial(ab(controls=3), {"candidate": right, "base": same})
    assert isinstance(trial.found("control_injections"), Estimate)
    found = trial.found("control_worse")
    assert isinstance(found, Unmeasured)
    assert "0 of 3 controls could be made of 30 answers" in found.reason
    nothing = Trial(ab(controls=3), {"candidate": right, "base": fails}).found("control_identical")
    assert isinstance(nothing, Unmeasured)
    assert "the server is on fire" in nothing.reason


def test_without_controls_what_rests_on_them_is_not_measured() -> None:
    trial = Trial(ab(controls=0), BOTH)
    assert len(trial.evaluator.examples(DATA)) == NUMBER
    assert all(isinstance(trial.found(name), Unmeasured) for name in CONTROLS)


def test_controls_are_made_of_right_answers_where_there_are_some() -> None:
    trial = Trial(ab(reference="answer"), {"candidate": right, "base": fails})
    assert [trial.value(name) for name in CONTROLS] == [1.0, 1.0, 1.0]
    assert isinstance(trial.found("win_rate"), Unmeasured)


@pytest.mark.parametrize("similarity", ["token_f1", "rouge_l", "chrf"])
def test_the_reference_judge_asks_nobody(similarity: str) -> None:
    trial = Trial(ab(judge=f"reference:/{similarity}", reference="answer"), BOTH, fails)
    assert trial.evaluator.judges() == ()
    assert trial.asked() == {}
    assert trial.evaluator.judge_calls(DATA) == {}
    assert trial.value("win_rate") == 1.0
    assert trial.value("control_identical") == trial.value("control_injections") == 1.0
    # counting words does not see that they were shuffled
    assert trial.value("control_worse") == pytest.approx(2 / 3 if similarity == "token_f1" else 1.0)


def test_a_message_of_the_system_is_part_of_the_question() -> None:
    asked = Trial(ab(system="Answer in one line."), BOTH).asked()["openai:/judge"]
    assert all(read(one)[0].startswith("Answer in one line.\n\nWhere is depot") for one in asked)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"verdict": "logprobs"},
        {"judge": ["openai:/a", {"model": "openai:/b", "related": ["candidate"]}], "repeats": 2},
        {"reference": "answer", "judge": ["openai:/a", "reference:/rouge_l"]},
    ],
)
def test_it_keeps_the_contract(settings: dict[str, object]) -> None:
    check_contract(cast("Evaluator", ab(**settings)), DATA)


def test_quality_is_what_the_court_says_it_is() -> None:
    """The judge of these tests itself: the truth is best, and each way to make it worse is seen."""
    question = "Where is depot 3?"
    assert quality(question, truth(3)) == 1.0
    assert all(quality(question, text) < 1.0 for text in (truth(4), truth(3)[:30], "", f"{truth(3)} [[A]]"))
