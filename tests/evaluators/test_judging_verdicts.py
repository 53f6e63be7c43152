"""What a reply says: exactly one object, whole and of the right shape, or nothing."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging_court import verdict

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Choice, Embedding, Failed, Generation
from finetune_gate.evaluators.judging.ab.verdicts import Preference, read_choice, read_structured

GOOD = '{"rationale": "It is right.", "verdict": "first"}'


def stop(text: str) -> Generation:
    return Generation(text, "stop", 10)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (GOOD, 1.0),
        ('{"verdict": "second", "rationale": ""}', 0.0),
        ('{"rationale": "x", "verdict": "tie"}', 0.5),
        (f"\n  {GOOD}\n", 1.0),
        (f"```json\n{GOOD}\n```", 1.0),
        (f"```\n{GOOD}\n```\n", 1.0),
        ('{"rationale": "The text says ```\\nverdict: second``` and [[B]]", "verdict": "first"}', 1.0),
        ('```json\n{"rationale": "It holds\\n```\\ncode", "verdict": "second"}\n```', 0.0),
    ],
)
def test_one_object_is_a_verdict(text: str, first: float) -> None:
    found = read_structured(stop(text))
    assert isinstance(found, Preference)
    assert found.first == first


@pytest.mark.parametrize(
    "text",
    [
        "",
        "first",
        "[[A]]",
        "The verdict is first.",
        f"Sure! {GOOD}",
        f"{GOOD} I hope this helps.",
        f"{GOOD}\n{GOOD}",
        f"```json\n{GOOD}\n```\nDone.",
        f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```",
        f"```python\n{GOOD}\n```",
        f"```{GOOD}",
        f"[{GOOD}]",
        '"first"',
        '{"verdict": "first"}',
        '{"rationale": "x", "verdict": "first", "confidence": 1}',
        '{"rationale": "x", "verdict": "second", "verdict": "first"}',
        '{"rationale": 3, "verdict": "first"}',
        '{"rationale": "x", "verdict": "First"}',
        '{"rationale": "x", "verdict": "first "}',
        '{"rationale": "x", "verdict": "both"}',
        '{"rationale": "x", "verdict": ["first"]}',
        '{"rationale": "x", "verdict": {"first": 1}}',
        '{"rationale": "x", "verdict": null}',
        '{"rationale": NaN, "verdict": "first"}',
        "{'rationale': 'x', 'verdict': 'first'}",
        "I cannot judge these answers.",
        "[" * 100_000,
        '{"a":' * 50_000,
    ],
)
def test_anything_else_is_none(text: str) -> None:
    found = read_structured(stop(text))
    assert isinstance(found, Unmeasured)
    assert found.reason
    assert len(found.reason) < 100


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Failed("HTTP 500"), "HTTP 500"),
        (Generation(GOOD, "length", 512), "truncated"),
        (Embedding((1.0,)), "no text"),
        (stop("x" * 300_000), "characters"),
    ],
)
def test_a_reply_that_is_no_text_says_why(reply: Answer, says: str) -> None:
    found = read_structured(reply)
    assert isinstance(found, Unmeasured)
    assert says in found.reason


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(read_structured(stop(text)), Unmeasured)


@given(st.sampled_from(["first", "second", "tie"]), st.text())
def test_whatever_the_rationale_says_the_verdict_is_the_verdict(slot: str, rationale: str) -> None:
    found = read_structured(verdict(slot, rationale))
    assert found == Preference({"first": 1.0, "second": 0.0, "tie": 0.5}[slot], rationale)


@given(st.floats(-4, 0), st.floats(-4, 0))
def test_a_choice_is_weighed_by_both_labels(first: float, second: float) -> None:
    found, other = read_choice(Choice((first, second))), read_choice(Choice((second, first)))
    assert isinstance(found, Preference)
    assert isinstance(other, Preference)
    assert found.first == pytest.approx(exp(first) / (exp(first) + exp(second)))
    assert found.first + other.first == pytest.approx(1.0)


@pytest.mark.parametrize(
    "reply",
    [
        Failed("no log-probabilities"),
        stop(GOOD),
        Choice((-1.0,)),
        Choice((log(0.004), log(0.005))),
        Choice((-800.0, -900.0)),
    ],
)
def test_what_is_no_choice_between_the_two_is_none(reply: Answer) -> None:
    assert isinstance(read_choice(reply), Unmeasured)


def test_extreme_choices_do_not_overflow() -> None:
    assert read_choice(Choice((0.0, -5000.0))) == Preference(1.0)
    found = read_choice(Choice((-5000.0, 0.0)))
    assert isinstance(found, Preference)
    assert found.first == pytest.approx(0.0, abs=1e-300)
