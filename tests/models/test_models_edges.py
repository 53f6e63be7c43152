"""Inputs at the edges of what a model takes, over architectures: the right answer, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import CONTEXT, CORPUS, ask, exact, exact_document, logprobs, make_model, make_tokenizer, pins

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Generation, ScoreRequest, TokenLogprobs
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.caching import places_after, roomy
from finetune_gate.gate.models.threads import threads_for

LONG = 16_384
SHAPES = ("llama", "qwen2", "mistral", "gpt2")


def make(folder: Path, shape: str, positions: int) -> Path:
    """A tiny random model of ``shape`` with so many positions; Mistral's layers see a window of 16."""
    import torch
    import transformers

    torch.manual_seed(3)
    common = {"vocab_size": 400, "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.2}
    if shape == "gpt2":
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": positions}
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **common))
    else:
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        sizes |= {"num_key_value_heads": 2, "max_position_embeddings": positions}
        sizes |= {"sliding_window": 16} if shape == "mistral" else {}
        name = {"llama": "Llama", "qwen2": "Qwen2", "mistral": "Mistral"}[shape]
        settings = getattr(transformers, f"{name}Config")(**sizes, **common)
        model = getattr(transformers, f"{name}ForCausalLM")(settings)
    model.eval().save_pretrained(folder)
    make_tokenizer(folder)
    return folder


@pytest.fixture(scope="module", params=SHAPES)
def shape(request, tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp(request.param), request.param, CONTEXT)


@pytest.fixture(scope="module")
def long_context(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("long_context"), "llama", LONG)


def loaded(folder: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.parametrize("batch_tokens", [1, 40, 150, 4096])
def test_batches_change_no_answer_of_any_shape(shape, batch_tokens):
    prompts = [text[: 7 + 5 * at] for at, text in enumerate(CORPUS[:3])]
    scores = [ScoreRequest(prompt, label, " ") for prompt in prompts for label in ("billing", "a praise", "a bug", "")]
    scores += [ScoreRequest("", text) for text in (*CORPUS, "", "a")]
    beginning = "The app crashes "
    texts = [
        GenerateRequest(beginning + word, max_new_tokens=4 + 3 * at) for at, word in enumerate(("on", "my old", "x"))
    ]
    with open_models(pins(shape, shape), batch_tokens=batch_tokens) as models:
        together = ask(models["candidate"], [*scores, *texts])
        alone = [ask(models["candidate"], [request])[0] for request in (*scores, *texts)]
    for found, right in zip(together, alone, strict=True):
        assert type(found) is type(right)
        if isinstance(found, TokenLogprobs):
            assert logprobs(found) == pytest.approx(logprobs(right), abs=1e-4)
        else:
            assert found == right


def test_ten_thousand_tokens_where_there_is_room(long_context):
    word, model = "invoice refund ", loaded(long_context)
    with open_models(pins(long_context, long_context)) as models:
        renderer = models["candidate"]._rendering()[1]
        text = word * 5_000
        ids = [*renderer.scored([ScoreRequest("", text)])[0].targets]
        assert 10_000 <= len(ids) < LONG - 8
        document, label = ask(models["candidate"], [ScoreRequest("", text), ScoreRequest(text, "bug", " ")])
        written = ask(models["candidate"], [GenerateRequest(text, max_new_tokens=3)])[0]
    assert logprobs(document) == pytest.approx(exact(model, [0], ids), abs=1e-3)
    assert isinstance(label, TokenLogprobs)
    assert label.dropped_context == 0
    assert isinstance(written, Generation)


def test_ten_thousand_tokens_where_there_is_none(shape):
    text, model = "refund the invoice " * 4_000, loaded(shape)
    with open_models(pins(shape, shape)) as models:
        renderer = models["candidate"]._rendering()[1]
        ids = [*renderer.scored([ScoreRequest("", text)])[0].targets]
        assert len(ids) > 10_000
        asked = [ScoreRequest("", text), ScoreRequest(text, " bug"), ScoreRequest("a bug", text)]
        document, cut, refused = ask(models["candidate"], asked)
        too_long = ask(models["candidate"], [GenerateRequest(text, max_new_tokens=3)])[0]
    assert len(logprobs(document)) == len(ids)
    assert sum(logprobs(document)) == pytest.approx(sum(exact_document(model, ids, 0)), rel=1e-4)
    assert isinstance(cut, TokenLogprobs)
    assert cut.dropped_context > 9_000
    assert isinstance(refused, Failed)
    assert f"the context is {CONTEXT}" in refused.reason
    assert isinstance(too_long, Failed)
    assert f"exceed the model's context of {CONTEXT}" in too_long.reason


def test_empty_strings_everywhere(shape):
    with open_models(pins(shape, shape)) as models:
        asked = [
            ScoreRequest("", ""),
            ScoreRequest("a", ""),
            GenerateRequest("", max_new_tokens=2),
            GenerateRequest("a", 0),
        ]
        empty, nothing, written, none = ask(models["candidate"], asked)
    assert logprobs(empty) == logprobs(nothing) == ()
    assert isinstance(written, Generation)
    assert written.tokens <= 2
    assert none == Generation("", "length", 0)


def test_rows_that_leave_are_replaced_by_the_last():
    assert places_after([0, 2, 5]) == [0, 5, 2]
    assert places_after([3, 4]) == [3, 4]
    assert places_after([0, 1]) == [0, 1]
    for keep in ([1], [0, 3, 4, 7], [2, 3, 5, 6, 7]):
        places = places_after(keep)
        assert sorted(places) == keep
        assert all(row == at or row >= len(keep) for at, row in enumerate(places))


def test_a_prompt_is_rendered_once_between_its_address_and_its_answer(tmp_path, monkeypatch):
    make_model(tmp_path)
    make_tokenizer(tmp_path)
    requests = [ScoreRequest(text, " a") for text in CORPUS]
    with open_models(pins(tmp_path, tmp_path)) as models:
        model = models["candidate"]
        renderer = model._rendering()[1]
        rendered: list[int] = []
        before = renderer.scored
        monkeypatch.setattr(renderer, "scored", lambda some: rendered.append(len(some)) or before(some))
        model.tokens(requests)
        model.addresses(requests)
        ask(model, requests)
        assert sum(rendered) == len(requests)
        ask(model, requests)  # taken, so not kept any longer
        assert sum(rendered) == 2 * len(requests)
        assert model.usage().prompt_tokens == 2 * model.tokens(requests).read


def test_small_models_take_one_thread_and_give_the_others_back():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(1_000, "cpu"):
            assert torch.get_num_threads() == 1
        for parameters, device in ((1_000, "cuda"), (10**9, "cpu")):
            with threads_for(parameters, device):
                assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_cache_with_room_holds_what_one_without_does():
    import torch
    from transformers import DynamicCache, LlamaConfig

    config = LlamaConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=2)
    ours, theirs = roomy(DynamicCache(config=config), room=2), DynamicCache(config=config)
    random = torch.Generator().manual_seed(0)

    def update(rows: int, tokens: int) -> None:
        new = [torch.randn(rows, 2, tokens, 4, generator=random) for _ in range(2)]
        for left, right in zip(ours.update(*new, 0), theirs.update(*new, 0), strict=True):
            assert torch.equal(left, right)

    update(1, 3)
    for cache in (ours, theirs):
        cache.batch_repeat_interleave(4)
    update(4, 2)
    update(4, 1)
    for order in ([0, 3], [1, 0], [1]):
        for cache in (ours, theirs):
            cache.reorder_cache(torch.tensor(order))
        for tokens in (1, 1, 4):  # beyond the room as well
            update(len(order), tokens)
    assert ours.get_seq_length() == theirs.get_seq_length() == 24
