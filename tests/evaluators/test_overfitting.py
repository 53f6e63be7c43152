"""Overfitting: scripted models that know their training data, and scripted models that do not."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from overfitting_cases import DATA, GENERATING, LIKELIHOODS, change, documents, evaluator, in_train, model, texts, value
from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import (
    Answer,
    Failed,
    GenerateRequest,
    Message,
    Request,
    ScoreRequest,
    TokenLogprobs,
)
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.evaluators.testing import Script, check_contract, made_answer, made_dataset, measured_by, scored_by


@pytest.mark.parametrize("settings", [{}, GENERATING, {"unit": "characters", **GENERATING}])
def test_it_keeps_the_contract(settings: dict[str, Any]) -> None:
    check_contract(evaluator(**settings), DATA)


def test_a_model_that_knows_its_training_data_is_found_by_every_measure() -> None:
    scripts = {"candidate": model(0.6, in_train, "c"), "base": model(seed="b")}
    found = measured_by(evaluator(**GENERATING), DATA, scripts)
    assert value(found["loss_gap"]).value == pytest.approx(0.6, abs=0.08)
    assert change(found["loss_gap"]).value == pytest.approx(0.6, abs=0.02)
    assert change(found["loss_gap"]).interval.width < value(found["loss_gap"]).interval.width
    assert value(found["train_loss"]).value < value(found["validation_loss"]).value
    assert value(found["membership_auc"]).interval.low > 0.9
    assert value(found["min_k_auc"]).interval.low > 0.7
    assert value(found["memorised_share"]).value == 1.0
    assert value(found["memorised_share"]).n == 40
    assert value(found["longest_common_prefix"]).value == 4.0
    assert value(found["edit_similarity"]).value == 1.0
    assert value(found["train_ngram_share"]).value == 1.0
    assert change(found["memorised_share"]).interval.low > 0.8


def test_where_train_and_validation_are_one_pot_nothing_is_found() -> None:
    """Negative control: the candidate has learned, and just as much on both sides of a random cut."""
    worlds = 60
    missed = {name: np.zeros(2) for name in ("gap", "difference", "membership_auc", "min_k_auc")}
    areas: list[float] = []
    for world in range(worlds):
        pot = texts(0, 90)
        random.Random(world).shuffle(pot)
        scripts = {"candidate": model(0.6, lambda text: True, f"c{world}"), "base": model(seed=f"b{world}")}
        found = measured_by(evaluator(), documents(pot[:40], pot[40:]), scripts)
        membership, min_k = value(found["membership_auc"]), value(found["min_k_auc"])
        areas.append(membership.value)
        gaps = {"gap": value(found["loss_gap"]), "difference": change(found["loss_gap"])}
        for name, one, truth in (
            *((name, one, 0.0) for name, one in gaps.items()),
            ("membership_auc", membership, 0.5),
            ("min_k_auc", min_k, 0.5),
        ):
            missed[name] += [one.interval.low > truth, one.interval.high < truth]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.02)
    for name, ends in missed.items():
        assert (ends / worlds <= 0.12).all(), f"{name}: {ends}"


def test_a_harder_validation_set_is_no_overfitting() -> None:
    """Every model has a gap there; the difference in differences and the calibrated membership do not see it."""

    def harder(seed: str) -> Script:
        return model(-0.7, lambda text: not in_train(text), seed)

    found = measured_by(evaluator(), DATA, {"candidate": harder("c"), "base": harder("b")})
    assert value(found["loss_gap"]).interval.low > 0.5
    assert abs(change(found["loss_gap"]).value) < 0.02
    assert value(found["membership_auc"]).interval.low < 0.5 < value(found["membership_auc"]).interval.high
    assert value(found["min_k_auc"]).value > 0.8, "Min-K% has no reference, and falls for it"


def test_parts_that_do_not_overlap_have_an_area_of_one_and_an_honest_interval() -> None:
    found = measured_by(evaluator(), DATA, {"candidate": model(1.5, in_train), "base": model()})
    area = value(found["membership_auc"])
    assert (area.value, area.interval.high) == (1.0, 1.0)
    assert 0.9 < area.interval.low < 1


def test_the_base_is_the_reference_of_membership_and_has_none_itself() -> None:
    scores = scored_by(evaluator(), DATA, {"candidate": made_answer, "base": made_answer, "champion": made_answer})
    assert set(scores.columns["base"]["membership"]) == {Unmeasured("the base is the reference")}
    assert scores.columns["champion"]["membership"] == scores.columns["candidate"]["membership"]
    alone = scored_by(evaluator(), DATA, {"candidate": made_answer})
    assert alone.columns["candidate"]["membership"][0] == Unmeasured("there is no base to be the reference")
    found = measured_by(evaluator(), DATA, {"candidate": model(0.6, in_train), "base": model(seed="b")})
    base = found["membership_auc"].comparisons["base"]
    assert isinstance(base.difference, Unmeasured)
    assert "the base is the reference" in base.difference.reason


def test_documents_are_asked_for_just_as_perplexity_asks() -> None:
    asked = set(evaluator().requests(DATA))
    assert asked == {
        *Perplexity(data="train").requests(DATA),
        *Perplexity(data="validation").requests(DATA),
    }


@pytest.mark.parametrize("lacking", ["scores_tokens", "generates"])
def test_a_model_that_lacks_one_ability_is_measured_by_the_other(lacking: str) -> None:
    def limited(script: Script) -> Script:
        return lambda asked: Failed(f"lacks {lacking}") if asked.needs == lacking else script(asked)

    scripts = {"candidate": limited(model(0.6, in_train)), "base": limited(model(seed="b"))}
    found = measured_by(evaluator(**GENERATING), DATA, scripts)
    for name, one in found.items():
        measured = isinstance(one.candidate, Estimate)
        assert measured == ((name in LIKELIHOODS) == (lacking == "generates")), f"{name}: {one.candidate}"
        if not measured:
            assert isinstance(one.candidate, Unmeasured)
            assert f"lacks {lacking}" in one.candidate.reason


def test_a_model_against_itself_shows_no_difference() -> None:
    for name, one in measured_by(
        evaluator(**GENERATING), DATA, {"candidate": made_answer, "base": made_answer}
    ).items():
        difference = one.comparisons["base"].difference
        assert isinstance(difference, Unmeasured) or difference.value == 0, name


def test_the_same_rows_are_drawn_whatever_else_there_is() -> None:
    few = evaluator(rows=10)
    ids = {example.id for example in few.examples(DATA)}
    assert len(ids) == 20
    more = documents([*texts(0, 40), *texts(500, 1)], texts(100, 50))
    assert len(ids - {example.id for example in few.examples(more)}) <= 1
    assert list(few.first_side(DATA)) == [1.0] * 10 + [0.0] * 10
    assert len(measured_by(few, DATA, {"candidate": made_answer, "base": made_answer})) == len(LIKELIHOODS)


def test_empty_texts_are_no_examples() -> None:
    data = documents(["", *texts(0, 30), "   "], ["", *texts(100, 30)])
    assert len(evaluator().examples(data)) == 61, "blanks are a text, if a short one"
    check_contract(evaluator(**GENERATING), documents(["", *texts(0, 30)], ["", *texts(100, 30)]))
    (problem, *_) = evaluator().check(documents(["", ""], texts(100, 30)))
    assert "empty" in problem.found


@pytest.mark.parametrize("settings", [{}, GENERATING])
def test_one_example_a_side_is_unmeasured(settings: dict[str, Any]) -> None:
    data = documents(texts(0, 1), texts(100, 1))
    found = measured_by(evaluator(**settings), data, {"candidate": model(0.6, in_train), "base": model(seed="b")})
    assert all(isinstance(one.candidate, Unmeasured) for one in found.values())
    assert len(evaluator(**settings).check(data)) >= 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"validation": "train"}, "same dataset"),
        ({"prompt": "Q: {text}"}, "go together"),
        ({"answer": "label"}, "go together"),
        ({"messages": "chat", "text": "text"}, "leave it out"),
        ({"memorisation": {"prefixes": 3}}, "prefixes"),
        ({"min_k": 0}, "greater than 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        evaluator(**settings)


def instructions(name: str, count: int, start: int) -> Dataset:
    rows = [{"question": f"why {start + at}?", "reply": text} for at, text in enumerate(texts(start, count))]
    return made_dataset(name, rows)


def test_of_instruction_data_the_answer_is_scored_and_continued_from_its_prompt() -> None:
    data = {"train": instructions("train", 30, 0), "validation": instructions("validation", 30, 100)}
    settings = evaluator(prompt="Q: {question}\nA:", answer="reply", memorisation={"continuation": 5}, diversity={})
    asked = settings.requests(data)
    prompt = (Message("user", "Q: why 0?\nA:"),)
    assert asked[0] == ScoreRequest(prompt, str(data["train"].examples[0].row["reply"]), " ")
    assert GenerateRequest(prompt, max_new_tokens=96) in asked
    assert sum(isinstance(one, GenerateRequest) for one in asked) == 60
    check_contract(settings, data)


def test_of_conversations_the_assistants_turns_are_scored_and_the_last_is_continued() -> None:
    def chats(name: str, start: int) -> Dataset:
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"hello {start + at}"},
                    {"role": "assistant", "content": "how can I help?"},
                    {"role": "user", "content": "it is broken"},
                    {"role": "assistant", "content": text},
                ]
            }
            for at, text in enumerate(texts(start, 30))
        ]
        return made_dataset(name, rows)

    data = {"train": chats("train", 0), "validation": chats("validation", 100)}
    settings = evaluator(messages="messages", memorisation={"continuation": 5}, diversity={})
    asked = settings.requests(data)
    assert sum(isinstance(one, ScoreRequest) for one in asked) == 120
    generated = next(one for one in asked if isinstance(one, GenerateRequest))
    assert len(generated.prompt) == 3
    check_contract(settings, data)


def test_different_tokenizers_have_no_common_gap_and_still_a_membership() -> None:
    base = model(seed="b")

    def letters(request: Request) -> Answer:
        found = base(request)
        assert isinstance(found, TokenLogprobs)
        return TokenLogprobs(tuple(np.repeat(np.array(found.logprobs) / 2, 2).tolist()))

    found = measured_by(evaluator(), DATA, {"candidate": model(0.6, in_train), "base": letters})
    difference = found["loss_gap"].comparisons["base"].difference
    assert isinstance(difference, Unmeasured)
    assert "tokenizers differ" in difference.reason
    assert value(found["membership_auc"]).interval.low > 0.9
