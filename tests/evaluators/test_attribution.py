"""Token attribution: from answers to scores, terms, findings; and on tiny models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.asking import (
    Answer,
    AttributeRequest,
    Attribution,
    Embedding,
    EmbedRequest,
    Failed,
    Message,
    Request,
)
from finetune_gate.evaluators.attribution import TokenAttribution
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.findings import Advice, HeatMap, Table
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.evaluators.testing import check_contract, made_answer, made_dataset, measured_by
from finetune_gate.evaluators.texts.terms import fine_tuning_terms, term_spans
from finetune_gate.gate.models import FakeModel
from finetune_gate.gate.run.shards import ask

TICKETS = [f"my invoice {number} was charged twice, please refund it" for number in range(12)]
PROSE = [f"the river ran past house {number} and please do not ask why it was so" for number in range(12)]


def rows(count: int = 30) -> list[dict[str, Any]]:
    return [
        {"id": str(at), "text": f"ticket {at} about an invoice of mine", "reference": "billing", "doc": "invoice"}
        for at in range(count)
    ]


def data(count: int = 30) -> dict[str, Dataset]:
    return {
        "holdout": made_dataset("holdout", rows(count)),
        "train": made_dataset("train", [{"text": text} for text in TICKETS]),
        "prose": made_dataset("prose", [{"text": text} for text in PROSE]),
    }


def evaluator(**settings: Any) -> TokenAttribution:
    return TokenAttribution.model_validate({"data": "holdout", **settings})


def one(**settings: Any) -> dict[str, Dataset]:
    row = {"id": "0", "text": "my invoice and my invoice", "reference": "billing", "doc": "and my invoice", **settings}
    return {"holdout": made_dataset("holdout", [row])}


ANSWER = Attribution(
    tokens=("<s>", "my", " in", "voice", " and", " my", " in", "voice", " Answer"),
    weights=(0.0, 1.0, 0.5, 0.5, -1.0, 0.0, 1.0, 1.0, 0.0),
    similarity=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 0.8, 0.7),
    logprob=-1.0,
    uninformed=-4.5,
    comprehensiveness=2.0,
    sufficiency=0.25,
    random_comprehensiveness=0.5,
    random_sufficiency=1.0,
)


def scored(answer: Answer, **settings: Any) -> dict[str, Value]:
    found, asked = evaluator(**settings), one()
    answers = {request: answer for request in found.requests(asked)}
    return {name: values[0] for name, values in found.score(asked, answers).items()}


def test_shares_gains_and_completeness_of_one_answer() -> None:
    """Tokens that stand twice have each their own weight, and a term covers every token that it touches."""
    found = scored(ANSWER, terms=("Invoice",))
    assert found == {
        "comprehensiveness_gain": 1.5,
        "sufficiency_gain": 0.75,
        "term_weight": 3.0,
        "positive_weight": 4.0,
        "holds_terms": 1.0,
        "completeness_gap": pytest.approx(0.5),
        "moved": 3.5,
    }


def test_the_parts_of_a_character_count_with_it() -> None:
    answer = replace(ANSWER, tokens=("x ", "", "é", "t"), weights=(1.0, 1.0, 1.0, 1.0), similarity=(0.0, 0.0, 0.0, 0.0))
    assert scored(answer, terms=("ét",))["term_weight"] == 3.0


def test_grounded_share_counts_the_most_alike_tokens_in_the_document() -> None:
    # a fifth of nine tokens is two: " in" and "voice" at the end, both in "and my invoice"
    assert scored(ANSWER, document="doc", prompt="{text} {doc}")["grounded_share"] == 1.0
    elsewhere = replace(ANSWER, similarity=(0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8))
    assert scored(elsewhere, document="doc", prompt="{text} {doc}")["grounded_share"] == 0.0
    cut = replace(ANSWER, tokens=("", *ANSWER.tokens[1:-2], "", ""))
    assert isinstance(scored(cut, document="doc", prompt="{text} {doc}")["grounded_share"], Unmeasured)


def test_where_nothing_speaks_for_any_answer_there_is_no_share() -> None:
    def silent(request: Request) -> Answer:
        return replace(ANSWER, weights=(0.0,) * 9) if isinstance(request, AttributeRequest) else made_answer(request)

    measured = measured_by(evaluator(terms=["invoice"]), data(), {"candidate": silent, "base": silent})
    assert isinstance(measured["term_share"].candidate, Unmeasured)
    assert isinstance(measured["comprehensiveness_gain"].candidate, Estimate)


def test_a_failed_answer_is_unmeasured_with_its_reason() -> None:
    found = scored(Failed("no room"), terms=("invoice",), document="doc", prompt="{text} {doc}")
    assert found.pop("holds_terms") == 1.0
    assert set(found.values()) == {Unmeasured("no room")}


def test_the_reference_is_asked_of_every_model_and_vectors_where_there_is_train() -> None:
    plain = evaluator(chat="never", steps=8).requests(data(2))
    assert plain[0] == AttributeRequest(
        "ticket 0 about an invoice of mine\n\nAnswer:", "billing", "integrated_gradients", 8, " "
    )
    assert len(plain) == 2
    chat = evaluator(prompt="{text}").requests(data(1))[0]
    assert isinstance(chat, AttributeRequest)
    assert chat.prompt == (Message("user", "ticket 0 about an invoice of mine"),)
    with_train = evaluator(train="train", nearest_among=5).requests(data(2))
    assert sum(isinstance(request, EmbedRequest) for request in with_train) == 4 + 2
    assert evaluator(train="train", nearest_among=0).needs == {"attributes"}
    assert evaluator(train="train").needs == {"attributes", "embeds"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"method": "input_x_gradient"},
        {"terms": ["invoice"]},
        {"train": "train", "against": "prose"},
        {"document": "doc", "prompt": "{text}: {doc}", "terms": ["invoice"], "train": "train", "against": "prose"},
    ],
)
def test_the_contract(settings: dict[str, Any]) -> None:
    check_contract(evaluator(**settings), data())


def test_a_model_that_lacks_the_ability_is_unmeasured_with_that_reason() -> None:
    found, asked = evaluator(terms=["invoice"]), data()
    answers = ask(FakeModel({}), found.requests(asked), lambda *_: None)
    measured = measured_by(found, asked, {"candidate": answers.__getitem__, "base": answers.__getitem__})
    for measurement in measured.values():
        assert isinstance(measurement.candidate, Unmeasured)
        assert "lacks the ability 'attributes'" in measurement.candidate.reason


def leaning(share: float, gain: float = 1.0):
    """A model that puts ``share`` of its weight on the term."""

    def answer(request: Request) -> Answer:
        if not isinstance(request, AttributeRequest):
            return made_answer(request)
        tokens = ("ticket", " invoice", " mine")
        noise = (hash_of(request) % 7 - 3) / 50
        weights = (1 - share - noise, share + noise, 0.0)
        return Attribution(tokens, weights, weights, -1.0, -2.0, gain + noise, 0.0, noise, gain)

    return answer


def hash_of(request: Request) -> int:
    return sum(ord(letter) * (at + 1) for at, letter in enumerate(repr(request)))


def test_a_model_that_learnt_its_terms_has_more_share_than_its_base() -> None:
    measured = measured_by(evaluator(terms=["invoice"]), data(), {"candidate": leaning(0.7), "base": leaning(0.3)})
    difference = measured["term_share"].comparisons["base"].difference
    assert isinstance(difference, Estimate)
    assert difference.value == pytest.approx(0.4)
    assert difference.interval.low > 0.2
    error = measured["completeness_error"].candidate
    assert isinstance(error, Estimate)
    assert error.value == pytest.approx(0.0, abs=1e-9)


def test_two_models_alike_show_no_difference() -> None:
    """Negative control, with answers that have nothing to do with the terms."""
    scripts = {"candidate": made_answer, "base": lambda request: made_answer(request, "base")}
    found = measured_by(evaluator(terms=["invoice"]), data(200), scripts)["term_share"].comparisons["base"].difference
    assert isinstance(found, Estimate)
    assert found.interval.low < 0.0 < found.interval.high
    same = measured_by(evaluator(terms=["invoice"]), data(), {"candidate": made_answer, "base": made_answer})
    difference = same["term_share"].comparisons["base"].difference
    assert isinstance(difference, Estimate)
    assert difference.value == 0.0


def test_prompts_without_terms_do_not_count() -> None:
    asked = {
        "holdout": made_dataset(
            "holdout", [*rows(10), *({"id": f"x{at}", "text": "other", "reference": "b"} for at in range(10))]
        )
    }
    measured = measured_by(evaluator(terms=["invoice"]), asked, {"candidate": leaning(0.5), "base": leaning(0.5)})
    value = measured["term_share"].candidate
    assert isinstance(value, Estimate)
    assert value.n == 10


def found_by(settings: dict[str, Any], candidate: Any, base: Any) -> list[Any]:
    asking, asked = evaluator(**settings), data(8)
    answers = {
        role: {request: script(request) for request in asking.requests(asked)}
        for role, script in (("candidate", candidate), ("base", base))
    }
    return list(asking.findings(asked, answers, {}))


def test_findings_show_heat_terms_and_nearest_rows() -> None:
    found = found_by({"train": "train", "against": "prose"}, leaning(0.7), leaning(0.3))
    heat, terms, nearest = found
    assert isinstance(heat, HeatMap)
    assert [row.label.split(":")[1].split()[0] for row in heat.rows] == ["candidate", "base"] * 5
    assert heat.left_out == 3
    assert "invoice" in [row[0] for row in terms.rows]
    assert isinstance(nearest, Table)
    assert len(nearest.rows) == 8
    assert all(cell.count("(") == 3 for row in nearest.rows for cell in row[2:])


def test_the_nearest_row_is_the_nearest() -> None:
    def embeds(request: Request) -> Answer:
        if not isinstance(request, EmbedRequest):
            return made_answer(request)
        alike = request.text == TICKETS[7] or "ticket" in request.text
        return Embedding((1.0, 0.0) if alike else (0.0, 1.0))

    table = found_by({"train": "train"}, embeds, embeds)[1]
    assert all(row[2].startswith("7 (1.00)") for row in table.rows)


def test_advice_is_given_where_weights_are_no_better_than_random() -> None:
    assert not [one for one in found_by({}, leaning(0.5), leaning(0.5)) if isinstance(one, Advice)]
    advice = [one for one in found_by({}, leaning(0.5, gain=0.0), leaning(0.5)) if isinstance(one, Advice)]
    assert len(advice) == 2
    assert "It is not shown" in advice[0].text


def test_advice_is_given_where_weights_do_not_add_up() -> None:
    def incomplete(request: Request) -> Answer:
        answer = leaning(0.5)(request)
        return replace(answer, uninformed=-3.0) if isinstance(answer, Attribution) else answer

    (advice,) = [one for one in found_by({}, incomplete, leaning(0.5)) if isinstance(one, Advice)]
    assert "raise `steps`" in advice.text


def test_nothing_is_found_where_everything_failed() -> None:
    assert found_by({"train": "train"}, lambda _: Failed("x"), lambda _: Failed("x")) == []


def test_terms_are_what_train_says_and_others_do_not() -> None:
    terms = fine_tuning_terms(TICKETS, PROSE)
    assert {"invoice", "charged", "twice", "refund"} <= {term.text for term in terms}
    assert not {"please", "was", "it"} & {term.text for term in terms}
    assert terms == fine_tuning_terms(TICKETS, PROSE)
    assert all(not term.text.isdigit() for term in terms)
    assert fine_tuning_terms(TICKETS, TICKETS) == ()
    assert fine_tuning_terms([], PROSE) == fine_tuning_terms(TICKETS, []) == ()


def test_one_talkative_text_makes_no_term() -> None:
    assert "zebra" not in {term.text for term in fine_tuning_terms([*TICKETS, "zebra " * 100], PROSE)}


def test_spans_are_whole_words_whatever_their_case() -> None:
    assert term_spans("Invoice, invoices, an INVOICE", ["invoice"]) == [(0, 7), (22, 29)]
    assert term_spans("credit card, card", ["card", "credit card"]) == [(0, 11), (13, 17)]
    assert term_spans("c++ a.b", ["c++", "a.b"]) == [(0, 3), (4, 7)]
    assert term_spans("axb", ["a.b"]) == term_spans("text", []) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"against": "prose"}, "against without train"),
        ({"terms": [" "]}, "an empty term"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"method": "attention"}, "integrated_gradients"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        evaluator(**settings)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"continuation": "label"}, "no column 'label'"),
        ({"train": "train", "text": "body"}, "no column 'body'"),
        ({"terms": ["zebra"]}, "no prompt holds any of the terms 'zebra'"),
        ({"train": "train", "against": "train"}, "no word is more typical of 'train' than of 'train'"),
        ({"document": "doc"}, "no slot {doc}"),
        ({"prompt": "{body}"}, "slot {body}"),
    ],
)
def test_faults_of_the_data_are_named(settings: dict[str, Any], fault: str) -> None:
    assert fault in "\n".join(map(str, evaluator(**settings).check(data())))


def test_an_empty_answer_is_named() -> None:
    asked = one(reference="")
    assert "an empty 'reference'" in "\n".join(map(str, evaluator().check(asked)))
