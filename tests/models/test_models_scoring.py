"""Scores are the exact ones, whatever is batched, padded, shared or cut into windows."""

from __future__ import annotations

import math
import random

import pytest
from tiny_models import CHAT, CONTEXT, CORPUS, ask, exact, exact_document, logprobs, make_model, make_tokenizer, pins
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_gate.evaluators.asking import Failed, Message, ScoreRequest, TokenLogprobs
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.network import Network


def documents(count: int = 40) -> list[str]:
    """Texts of one to some 150 tokens: single, padded and rolling ones."""
    rng = random.Random(3)
    words = " ".join(CORPUS).split()
    return [" ".join(rng.choices(words, k=rng.choice((1, 2, 5, 12, 30, 90)))) for _ in range(count)]


@pytest.fixture(scope="module", params=["llama adds BOS", "llama has BOS", "gpt2 adds BOS", "gpt2 no BOS"])
def folder(request, tmp_path_factory):
    shape, how = request.param.split(" ", 1)
    folder = tmp_path_factory.mktemp(shape)
    make_model(folder, shape)
    make_tokenizer(folder, bos=how != "no BOS", adds_bos=how == "adds BOS", chat=CHAT)
    return folder


@pytest.fixture(params=["packed", "padded", "general"])
def way(request, monkeypatch):
    """Rows behind each other (CPUs), in padded batches (elsewhere), and as any architecture can do it."""
    if request.param != "packed":
        monkeypatch.setattr(Network, "packs", False)
    if request.param == "general":
        monkeypatch.setattr(Network, "splits", False)
        monkeypatch.setattr(Network, "branches", False)
    return request.param


@pytest.mark.parametrize("batch_tokens", [64, 4096])
def test_perplexity_is_the_exact_token_weighted_one(folder, batch_tokens, way):
    texts = documents()
    with open_models(pins(folder, folder), batch_tokens=batch_tokens) as models:
        answers = [logprobs(answer) for answer in ask(models["candidate"], [ScoreRequest("", text) for text in texts])]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    truth = [exact_document(model, tokenizer(text, add_special_tokens=False).input_ids, start) for text in texts]
    assert [len(row) for row in answers] == [len(row) for row in truth]
    assert max(len(row) for row in truth) > 2 * CONTEXT
    assert min(len(row) for row in truth) < 5
    count = sum(map(len, truth))
    found, right = (math.exp(-math.fsum(map(math.fsum, rows)) / count) for rows in (answers, truth))
    assert found == pytest.approx(right, rel=1e-6)
    for row, reference in zip(answers, truth, strict=True):
        assert row == pytest.approx(reference, abs=1e-4)


@pytest.mark.parametrize("batch_tokens", [50, 2048])
def test_labels_equal_one_by_one_scoring(folder, batch_tokens, way):
    labels = ["billing", "bug report", "praise", "bug", "x", "a much longer label than the others"]
    requests = [ScoreRequest(text, label, " ") for text in CORPUS for label in labels]
    with open_models(pins(folder, folder), batch_tokens=batch_tokens) as models:
        answers = [logprobs(answer) for answer in ask(models["candidate"], requests)]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for request, answer in zip(requests, answers, strict=True):
        context = tokenizer(request.prompt).input_ids  # BOS where the tokenizer puts it
        target = tokenizer(" " + request.continuation, add_special_tokens=False).input_ids
        room = CONTEXT + 1 - len(target)
        assert answer == pytest.approx(exact(model, context[-room:], target), abs=1e-4)


def test_these_shapes_can_be_computed_the_fast_ways(llama, gpt2):
    for folder in (llama, gpt2):
        with open_models(pins(folder, folder), device="cpu") as models:
            ask(models["candidate"], [ScoreRequest("Hello", "you", " ")])
            network = models["candidate"]._weights._network
            assert (network.packs, network.splits, network.branches, network.caches) == (True,) * 4
            del network.__dict__["branches"]
            network.__dict__["packs"] = False
            assert network.branches  # padded too


def test_branches_and_packing_are_given_up_where_attention_is_more_than_causal(tmp_path):
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MistralConfig(
        vocab_size=400, num_key_value_heads=2, head_dim=8, sliding_window=6, max_position_embeddings=CONTEXT, **shape
    )
    MistralForCausalLM(config).eval().save_pretrained(tmp_path)
    make_tokenizer(tmp_path)
    requests = [ScoreRequest(text, label, " ") for text in CORPUS[:3] for label in ("billing", "bug report")]
    with open_models(pins(tmp_path, tmp_path)) as models:
        answers = ask(models["candidate"], requests)
        network = models["candidate"]._weights._network
        assert (network.packs, network.branches, network.shares_prefix, network.caches) == (False, False, False, True)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    for request, answer in zip(requests, answers, strict=True):
        target = tokenizer(" " + request.continuation, add_special_tokens=False).input_ids
        assert logprobs(answer) == pytest.approx(exact(model, tokenizer(request.prompt).input_ids, target), abs=1e-4)


def test_projection_in_small_pieces_changes_nothing(llama, monkeypatch):
    requests = [ScoreRequest("", text) for text in documents(10)]
    requests += [ScoreRequest(text, label, " ") for text in CORPUS for label in ("billing", "bug report")]
    with open_models(pins(llama, llama)) as models:
        whole = ask(models["candidate"], requests)
        monkeypatch.setattr(Network.chunks, "__defaults__", (3 * 400, None))  # three positions at a time
        pieces = ask(models["candidate"], requests)
    for left, right in zip(whole, pieces, strict=True):
        assert logprobs(left) == pytest.approx(logprobs(right), abs=1e-5)


def test_both_kinds_of_tokenizer_give_documents_the_same_value(tmp_path):
    values = []
    for adds in (True, False):
        folder = tmp_path / str(adds)
        make_model(folder)
        make_tokenizer(folder, adds_bos=adds)
        with open_models(pins(folder, folder)) as models:
            values.append(ask(models["candidate"], [ScoreRequest("", CORPUS[0]), ScoreRequest("", "<s>" + CORPUS[0])]))
    assert values[0] == values[1]
    assert logprobs(values[0][0]) == pytest.approx(logprobs(values[0][1]), abs=1e-6)  # BOS in the text is no second one


def test_chat_prompts_go_through_the_template_with_one_bos(llama):
    messages = (Message("system", "Be brief."), Message("user", "Hello there"))
    with open_models(pins(llama, llama)) as models:
        answer = ask(models["candidate"], [ScoreRequest(messages, "praise", delimiter="IGNORED")])[0]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), AutoTokenizer.from_pretrained(llama)
    context = tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in messages], add_generation_prompt=True
    )["input_ids"]
    assert context.count(tokenizer.bos_token_id) == 1
    target = tokenizer("praise", add_special_tokens=False).input_ids
    assert logprobs(answer) == pytest.approx(exact(model, context, target), abs=1e-4)


def test_without_a_template_messages_are_joined_and_the_delimiter_stands(gpt2):
    with open_models(pins(gpt2, gpt2)) as models:
        joined, plain = ask(
            models["candidate"],
            [
                ScoreRequest((Message("system", "Be brief."), Message("user", "Hello")), "praise", " "),
                ScoreRequest("Be brief.\n\nHello", "praise", " "),
            ],
        )
    assert joined == plain


def test_edges(llama):
    long = "refund " * 60
    with open_models(pins(llama, llama)) as models:
        nothing, nothing_after, cut, too_long, blank = ask(
            models["candidate"],
            [
                ScoreRequest("", ""),
                ScoreRequest("A prompt", ""),
                ScoreRequest(long, "billing", " "),
                ScoreRequest("A prompt", long, " "),
                ScoreRequest("   ", "billing"),
            ],
        )
    assert nothing == nothing_after == TokenLogprobs(())
    tokenizer = AutoTokenizer.from_pretrained(llama)
    tokens = len(tokenizer(long.rstrip()).input_ids) + len(tokenizer("  billing", add_special_tokens=False).input_ids)
    assert isinstance(cut, TokenLogprobs)
    assert cut.dropped_context == tokens - 1 - CONTEXT
    assert isinstance(too_long, Failed)
    assert f"context is {CONTEXT}" in too_long.reason
    assert len(logprobs(blank)) == len(tokenizer("   billing", add_special_tokens=False).input_ids)


def test_without_bos_and_eos_only_what_has_something_before_it_can_be_scored(tmp_path):
    make_model(tmp_path, "gpt2")
    make_tokenizer(tmp_path, bos=False, eos=False)
    with open_models(pins(tmp_path, tmp_path)) as models:
        document, label = ask(models["candidate"], [ScoreRequest("", "Hello"), ScoreRequest("Hello", "you", " ")])
    assert isinstance(document, Failed)
    assert "neither BOS nor EOS" in document.reason
    assert len(logprobs(label)) > 0


def test_a_number_that_is_none_is_a_failure(tmp_path):
    import torch

    model = make_model(tmp_path)
    make_tokenizer(tmp_path)
    with torch.no_grad():
        model.lm_head.weight[3] = float("nan")
    model.save_pretrained(tmp_path)
    with open_models(pins(tmp_path, tmp_path)) as models:
        (answer,) = ask(models["candidate"], [ScoreRequest("", "Hello")])
    assert isinstance(answer, Failed)
    assert "finite" in answer.reason
