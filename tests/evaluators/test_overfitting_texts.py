"""Overfitting by what models write: continuations of training rows, answers to prompts; and the findings."""

from __future__ import annotations

from typing import Any

import pytest
from overfitting_cases import DATA, GENERATING, change, documents, evaluator, in_train, model, texts, value

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import (
    Answer,
    Failed,
    GenerateRequest,
    Generation,
    Request,
)
from finetune_gate.evaluators.findings import Advice, Table
from finetune_gate.evaluators.testing import Script, made_answer, measured_by, scored_by


def test_a_model_that_answers_nothing_is_not_covered_by_the_rows_it_was_not_asked_for() -> None:
    """A few training rows beside thousands for validation: their failures must not drown."""
    data = documents(texts(0, 3), texts(100, 400))
    scripts = {"candidate": lambda asked: Failed("out of memory"), "base": model(seed="b")}
    for name, one in measured_by(evaluator(**GENERATING), data, scripts).items():
        assert isinstance(one.candidate, Unmeasured), name
        assert "out of memory" in one.candidate.reason


def test_one_failed_continuation_counts_as_memorised_and_never_as_not() -> None:
    data = documents(texts(0, 100), texts(100, 100))
    first = next(one for one in evaluator(**GENERATING).requests(data) if isinstance(one, GenerateRequest))

    def fails_once(request: Request) -> Answer:
        return Failed("timed out") if request == first else model()(request)

    found = measured_by(evaluator(**GENERATING), data, {"candidate": fails_once, "base": model(seed="b")})
    assert value(found["memorised_share"]).value == pytest.approx(0.01)


def test_a_continuation_that_is_cut_off_while_right_is_unmeasured() -> None:
    text = str(DATA["train"].examples[0].row["text"])
    expected = " ".join(text.split()[4:8])

    def script(answer: Generation) -> Script:
        return lambda asked: answer if isinstance(asked, GenerateRequest) else made_answer(asked)

    settings = evaluator(memorisation=GENERATING["memorisation"])
    cut_off = {"candidate": script(Generation(" " + expected[:-2], "length", 96)), "base": made_answer}
    scored = scored_by(settings, DATA, cut_off).columns["candidate"]["verbatim"][0]
    assert isinstance(scored, Unmeasured)
    assert "max_new_tokens" in scored.reason
    whole = {"candidate": script(Generation(f"\n{expected} and on", "length", 96)), "base": made_answer}
    assert scored_by(settings, DATA, whole).columns["candidate"]["verbatim"][0] == 1.0
    blank = {"candidate": script(Generation("\n" * 96, "length", 96)), "base": made_answer}
    assert scored_by(settings, DATA, blank).columns["candidate"]["verbatim"][0] == 0.0
    stopped = {"candidate": script(Generation(expected[:-2], "stop", 5)), "base": made_answer}
    assert scored_by(settings, DATA, stopped).columns["candidate"]["verbatim"][0] == 0.0


def test_answers_are_compared_at_equal_lengths() -> None:
    """A candidate that says the same as the base, and then goes on repeating itself, differs in nothing but length."""
    settings = evaluator(diversity=GENERATING["diversity"])
    base = model(seed="b")

    def longer(request: Request) -> Answer:
        answer = base(request)
        return Generation(answer.text + " and so on" * 9, "length", 40) if isinstance(answer, Generation) else answer

    found = measured_by(settings, DATA, {"candidate": longer, "base": base})
    for name in ("distinct_1", "distinct_2", "distinct_3", "self_bleu", "self_repetition", "compression_ratio"):
        assert change(found[name]).value == 0, name


def test_a_model_that_says_the_same_to_everybody_has_lost_diversity() -> None:
    scripts = {"candidate": model(says=" thank you for your message we will be in touch"), "base": model(seed="b")}
    found = measured_by(evaluator(diversity=GENERATING["diversity"]), DATA, scripts)
    assert change(found["distinct_2"]).interval.high < 0
    assert change(found["self_bleu"]).interval.low > 0
    assert value(found["self_bleu"]).value == pytest.approx(1.0)
    assert change(found["self_repetition"]).interval.low > 0
    assert change(found["compression_ratio"]).interval.low > 0


def test_corpus_values_are_the_published_ones() -> None:
    scripts = {"candidate": model(seed="c"), "base": model(seed="b")}
    settings = evaluator(diversity=GENERATING["diversity"])
    found = measured_by(settings, DATA, scripts)
    answers = [scripts["candidate"](one) for one in settings.requests(DATA) if isinstance(one, GenerateRequest)]
    words = [word for answer in answers if isinstance(answer, Generation) for word in answer.text.split()]
    assert value(found["distinct_1"]).value == pytest.approx(len(set(words)) / len(words))


def test_rows_too_short_to_be_continued_are_a_fault_with_a_way_out() -> None:
    problems = evaluator(memorisation={}, diversity={"prefix": 300}).check(DATA)
    assert [problem.way_out for problem in problems] == ["lower `prefix` and `continuation`", "lower `prefix`"]
    found = measured_by(evaluator(memorisation={}), DATA, {"candidate": made_answer, "base": made_answer})
    assert isinstance(found["memorised_share"].candidate, Unmeasured)
    assert "no examples in the part 'continued training rows'" in found["memorised_share"].candidate.reason


def findings(candidate: Script, base: Script, **settings: Any) -> tuple[list[Table], list[str]]:
    chosen = evaluator(**settings)
    answers = {
        role: {request: script(request) for request in chosen.requests(DATA)}
        for role, script in (("candidate", candidate), ("base", base))
    }
    found = chosen.findings(DATA, answers, {})
    return [one for one in found if isinstance(one, Table)], [one.text for one in found if isinstance(one, Advice)]


def test_findings_show_the_rows_and_advise() -> None:
    tables, advice = findings(model(0.6, in_train, "c"), model(seed="b"), **GENERATING)
    assert [table.title for table in tables] == ["Most memorised training rows", "Most member-like training rows"]
    assert len(tables[0].rows) == 20
    assert tables[0].rows[0][4] == 1.0
    gains = [row[2] for row in tables[1].rows]
    assert gains == sorted(gains, key=lambda gain: -float(gain or 0))
    assert tables[1].rows[0][1] in texts(0, 40)
    assert any("0.5" in line and "severe" in line and "LoRA rank" in line for line in advice)
    assert any("differential privacy" in line for line in advice)
    assert any("100.0% more training rows" in line for line in advice)


@pytest.mark.parametrize(("gain", "band"), [(0.05, None), (0.3, "mild"), (0.7, "severe")])
def test_advice_follows_the_bands(gain: float, band: str | None) -> None:
    _, advice = findings(model(gain, in_train, "c"), model(seed="b"))
    of_gap = [line for line in advice if "loss gap" in line]
    assert [band in line.split("(")[0] for line in of_gap if band] == ([True] if band else [])
    assert bool(of_gap) == (band is not None)


def test_there_is_no_advice_where_the_base_has_the_gap_too() -> None:
    def harder(seed: str) -> Script:
        return model(-0.7, lambda text: not in_train(text), seed)

    assert findings(harder("c"), harder("b"), **GENERATING)[1] == []


def test_findings_survive_a_model_that_answers_nothing() -> None:
    def fails(request: Request) -> Answer:
        return Failed("out of memory")

    assert findings(fails, model(), **GENERATING) == ([], [])
    assert findings(fails, fails, **GENERATING) == ([], [])
    tables, advice = findings(model(0.7, in_train), fails)
    assert tables == []
    assert any("severe" in line for line in advice), "the candidate's own gap is left to speak"
