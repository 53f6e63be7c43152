"""Choices of local models are the sums of their scores, whatever they are batched with; and their addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import fsum
from pathlib import Path

import pytest
from tiny_models import CHAT, CONTEXT, CORPUS, ask, exact, logprobs, make_model, make_tokenizer, pins
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_gate.evaluators.asking import Answer, Choice, ChooseRequest, Failed, Message, ScoreRequest
from finetune_gate.gate.models import FakeModel, Model, open_models
from finetune_gate.gate.models.network import Network
from finetune_gate.gate.models.protocol import Chooses
from finetune_gate.gate.run.shards import ask as ask_shard

LABELS = ("billing", "bug report", "praise")
TALK = (Message("system", "Be brief."), Message("user", "Which one?"))
REQUESTS = [ChooseRequest(text, LABELS) for text in CORPUS] + [ChooseRequest(TALK, ("m", "M"))]


def choose(model: Model, requests: Iterable[ChooseRequest]) -> list[Answer]:
    """Answers in order; each request answered exactly once."""
    assert isinstance(model, Chooses)
    requests = list(requests)
    answers: dict[int, Answer] = {}

    def deliver(index: int, answer: Answer) -> None:
        assert index not in answers
        answers[index] = answer

    model.choose(requests, deliver)
    return [answers[at] for at in range(len(requests))]


def chosen(model: Model, requests: Iterable[ChooseRequest]) -> list[tuple[float, ...]]:
    answers = choose(model, requests)
    assert all(isinstance(answer, Choice) for answer in answers), answers
    return [answer.logprobs for answer in answers if isinstance(answer, Choice)]


@pytest.mark.parametrize("template", [None, CHAT])
def test_a_choice_is_the_sum_of_scores(tmp_path: Path, template: str | None):
    make_model(tmp_path)
    make_tokenizer(tmp_path, chat=template)
    with open_models(pins(tmp_path, tmp_path)) as models:
        model = models["candidate"]
        assert "chooses" in model.abilities
        for request, found in zip(REQUESTS, chosen(model, REQUESTS), strict=True):
            scores = ask(model, [ScoreRequest(request.prompt, option, " ") for option in request.options])
            assert found == pytest.approx([fsum(logprobs(score)) for score in scores], abs=1e-4)


def test_after_a_chat_template_an_option_follows_at_once(llama: Path):
    with open_models(pins(llama, llama)) as models:
        (found,) = chosen(models["candidate"], [ChooseRequest(TALK, LABELS)])
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), AutoTokenizer.from_pretrained(llama)
    context = tokenizer.apply_chat_template(
        [{"role": turn.role, "content": turn.content} for turn in TALK], add_generation_prompt=True
    )["input_ids"]
    targets = [tokenizer(label, add_special_tokens=False).input_ids for label in LABELS]
    assert found == pytest.approx([fsum(exact(model, context, target)) for target in targets], abs=1e-4)


def test_what_it_is_asked_with_changes_nothing(llama: Path):
    with open_models(pins(llama, llama)) as models:
        together = chosen(models["candidate"], REQUESTS)
        backwards = chosen(models["candidate"], [replace(one, options=one.options[::-1]) for one in REQUESTS[::-1]])
    with open_models(pins(llama, llama), batch_tokens=30) as models:
        alone = [chosen(models["candidate"], [request])[0] for request in REQUESTS]
    for first, second, third in zip(together, reversed(backwards), alone, strict=True):
        assert first == pytest.approx(second[::-1], abs=1e-4)
        assert first == pytest.approx(third, abs=1e-4)


def test_a_prompt_is_read_once_for_all_its_options(llama: Path, monkeypatch: pytest.MonkeyPatch):
    rows: list[int] = []
    chunks = Network.chunks

    def counted(network, some, *rest, **settings):
        rows.extend(row.length for row in some)
        return chunks(network, some, *rest, **settings)

    with open_models(pins(llama, llama)) as models:
        model = models["candidate"]
        chosen(model, REQUESTS[:1])
        monkeypatch.setattr(Network, "chunks", counted)
        chosen(model, REQUESTS[:1])
        prompt = len(AutoTokenizer.from_pretrained(llama)(CORPUS[0]).input_ids)
        assert (len(rows), prompt <= rows[0] < 2 * prompt) == (1, True)
        before = model.usage().prompt_tokens
        chosen(model, REQUESTS)
        assert model.usage().prompt_tokens - before == model.tokens(REQUESTS).read
        options = [ScoreRequest(one.prompt, option, " ") for one in REQUESTS for option in one.options]
        assert model.tokens(REQUESTS) == model.tokens(options)


def test_adapters_choose_as_if_they_were_alone(llama: Path, adapter: Path, other_adapter: Path):
    with open_models(pins(other_adapter, llama)) as models:
        alone = chosen(models["candidate"], REQUESTS)
    with open_models(pins(adapter, llama, other_adapter)) as models:
        base = chosen(models["base"], REQUESTS)
        candidate = chosen(models["candidate"], REQUESTS)
        assert chosen(models["champion"], REQUESTS) == alone
        assert chosen(models["base"], REQUESTS) == base
        addresses = [address for model in models.values() for address in model.addresses(REQUESTS)]
    assert candidate not in (base, alone)
    assert len(set(addresses)) == len(addresses)


def test_addresses_tell_apart_all_that_changes_a_choice(llama: Path, other_llama: Path, gpt2: Path):
    asked = ChooseRequest("a", ("b", "c"))
    requests = [
        asked,
        replace(asked, options=("c", "b")),
        replace(asked, options=("b",)),
        replace(asked, options=("b", "c", "d")),
        replace(asked, prompt="ab"),
        replace(asked, prompt=(Message("user", "a"),)),
        replace(asked, prompt=""),
        ScoreRequest("a", "b", " "),
    ]
    found: list[str] = []
    for folder in (llama, other_llama, gpt2):
        with open_models(pins(folder, folder)) as models:
            addresses = models["candidate"].addresses(requests)
            assert models["candidate"].addresses(requests[::-1]) == addresses[::-1]
            found += addresses
    assert len(found) == 3 * len(requests)
    assert len(set(found)) == 3 * len(requests) - 1  # gpt2 has no template, and reads messages as text
    with open_models(pins(llama, llama), dtype="bfloat16") as models:
        assert not set(models["candidate"].addresses(requests)) & set(found)


def test_what_cannot_be_chosen_from_fails_alone(llama: Path):
    long = "refund " * 60
    asked = [
        ChooseRequest("a", ()),
        ChooseRequest("a", ("b", " ")),
        ChooseRequest(long, LABELS),
        ChooseRequest("a", ("b", long)),
        ChooseRequest("a", ("b", "b")),
        ChooseRequest("", LABELS),
    ]
    with open_models(pins(llama, llama)) as models:
        none, empty, cut, too_long, twice, document = choose(models["candidate"], asked)
        assert len(set(models["candidate"].addresses(asked))) == len(asked)
    assert none == Failed("there are no options to choose from")
    assert empty == Failed("an option is empty, and every answer begins with nothing")
    assert isinstance(cut, Failed)
    assert "exceed the model's context by" in cut.reason
    assert isinstance(too_long, Failed)
    assert f"the context is {CONTEXT}" in too_long.reason
    assert isinstance(twice, Choice)
    assert twice.logprobs[0] == twice.logprobs[1]
    assert isinstance(document, Choice)


def test_a_number_that_is_none_is_a_failure(tmp_path: Path):
    import torch

    model = make_model(tmp_path)
    make_tokenizer(tmp_path)
    with torch.no_grad():
        model.lm_head.weight[3] = float("nan")
    model.save_pretrained(tmp_path)
    with open_models(pins(tmp_path, tmp_path)) as models:
        (answer,) = choose(models["candidate"], REQUESTS[:1])
    assert answer == Failed("the model gave a log-probability that is not a finite number")


def test_fakes_choose_by_script():
    asked = [ChooseRequest("a", ("x", "y")), ChooseRequest("b", ("x",)), ChooseRequest("c", ("x",))]
    fake = FakeModel({"a": [-1.0, -2.0], "b": Choice((-3.0,))}, abilities=["chooses"])
    assert choose(fake, asked) == [
        Choice((-1.0, -2.0)),
        Choice((-3.0,)),
        Failed("the script has no answer to this request"),
    ]
    assert fake.asked == asked
    lacking = ask_shard(FakeModel({"a": -1.0}), asked[:1], lambda request, answer: None)
    assert lacking == {asked[0]: Failed("the model lacks the ability 'chooses'")}
