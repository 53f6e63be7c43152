"""Batched generation gives every request what it would get alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import CHAT, CONTEXT, CORPUS, ask, make_model, make_tokenizer, pins
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Generation, Message
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.network import Network

PROMPTS = [text[:cut] for text in CORPUS for cut in (1, 20)]


def greedy(folder, prompts: list[str], count: int) -> list[Generation]:
    """One prompt after the other by transformers' own generate."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    settings = GenerationConfig(max_new_tokens=count, do_sample=False, eos_token_id=[1], pad_token_id=0)
    found = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**ids, generation_config=settings)[0, ids.input_ids.shape[1] :].tolist()
        ended = out[-1] == 1
        found.append(
            Generation(tokenizer.decode(out, skip_special_tokens=True), "stop" if ended else "length", len(out))
        )
    return found


def single(folder, requests):
    """Each request in a batch of its own."""
    with open_models(pins(folder, folder)) as models:
        return [ask(models["candidate"], [request])[0] for request in requests]


@pytest.mark.parametrize("batch_tokens", [60, 4096])
@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_batched_greedy_equals_one_by_one_and_transformers(shape, batch_tokens, request):
    folder = request.getfixturevalue(shape)
    requests = [GenerateRequest(prompt, max_new_tokens=10) for prompt in PROMPTS]
    with open_models(pins(folder, folder), batch_tokens=batch_tokens) as models:
        answers = ask(models["candidate"], requests)
        assert models["candidate"]._weights._network.caches
    if batch_tokens == 60:
        assert answers == single(folder, requests)
    else:
        assert answers == greedy(folder, PROMPTS, 10)
        assert len({answer.text for answer in answers}) > len(answers) // 2


@pytest.mark.parametrize("ragged", [True, False])
def test_a_shared_beginning_is_read_once_and_changes_nothing(llama, monkeypatch, ragged):
    head = "Is this billing, a bug report, or praise? Say one of the three. "
    texts = [text[:cut] for text in CORPUS for cut in (0, 3)] if ragged else list("abcdefgh")
    requests = [GenerateRequest(head + text, max_new_tokens=4) for text in texts]
    widths: list[tuple[int, int]] = []
    following = Network.following

    def spy(self, ids, *rest):
        widths.append(tuple(ids.shape))
        return following(self, ids, *rest)

    with monkeypatch.context() as patch, open_models(pins(llama, llama)) as models:
        ask(models["candidate"], requests[:1])
        patch.setattr(Network, "following", spy)
        answers = ask(models["candidate"], requests)
    assert widths[0][0] == 1
    assert widths[0][1] >= 8
    assert answers == single(llama, requests)


@pytest.mark.parametrize("way", ["cached", "without cache"])
def test_sampling_depends_on_the_request_alone(llama, way, monkeypatch):
    if way == "without cache":
        original = Network.__init__

        def init(self, *rest):
            original(self, *rest)
            self.caches = False

        monkeypatch.setattr(Network, "__init__", init)
    requests = [
        GenerateRequest(prompt, 10, temperature=heat, top_p=top, sample=sample, seed=3)
        for prompt in PROMPTS[:2]
        for heat, top in ((1.0, 1.0), (0.7, 0.8))
        for sample in (0, 1)
    ]
    with open_models(pins(llama, llama)) as models:
        together = ask(models["candidate"], requests)
        torch.manual_seed(123)
        assert ask(models["candidate"], requests[::-1])[::-1] == together
    assert together == single(llama, requests)
    assert len({answer.text for answer in together}) > len(together) // 2
    assert together[:3] != single(llama, [replace(request, seed=4) for request in requests[:3]])


def test_sampling_follows_the_models_probabilities(llama):
    requests = [GenerateRequest("My invoice", 1, temperature=0.6, sample=sample) for sample in range(1500)]
    nucleus = [replace(request, top_p=0.4) for request in requests[:300]]
    with open_models(pins(llama, llama), batch_tokens=8192) as models:
        answers, narrow = ask(models["candidate"], requests), ask(models["candidate"], nucleus)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), AutoTokenizer.from_pretrained(llama)
    with torch.inference_mode():
        logits = model(torch.tensor([tokenizer("My invoice").input_ids])).logits[0, -1]
    probability, order = (logits / 0.6).softmax(-1).sort(descending=True)
    top = tokenizer.decode([order[0]], skip_special_tokens=True)
    share = sum(answer.text == top for answer in answers) / len(answers)
    assert share == pytest.approx(float(probability[0]), abs=4 * 0.5 / 1500**0.5)
    allowed = {
        tokenizer.decode([token], skip_special_tokens=True)
        for token, before in zip(order, probability.cumsum(-1) - probability, strict=True)
        if before < 0.4
    }
    assert {answer.text for answer in narrow} <= allowed


def test_stop_strings_are_cut_off_and_count_as_stop(llama):
    plain = single(llama, [GenerateRequest(prompt, 14) for prompt in PROMPTS])
    requests = [
        GenerateRequest(prompt, 14, stop=(answer.text[4:6], answer.text[9:12]))
        for prompt, answer in zip(PROMPTS, plain, strict=True)
    ]
    with open_models(pins(llama, llama)) as models:
        stopped = ask(models["candidate"], requests)
    for request, answer, free in zip(requests, stopped, plain, strict=True):
        cuts = [free.text.find(text) for text in request.stop if text in free.text]
        assert answer.text == free.text[: min(cuts)]
        assert answer.finish == "stop"
        assert answer.tokens <= free.tokens
    assert sum(answer.tokens for answer in stopped) < sum(answer.tokens for answer in plain) / 2


def test_eos_ends_an_answer_and_is_no_part_of_it(tmp_path):
    model = make_model(tmp_path)
    make_tokenizer(tmp_path)
    with torch.no_grad():  # after any token the second-best is EOS, so raise it
        model.lm_head.weight[1] = model.lm_head.weight.mean(0) * 0
    model.save_pretrained(tmp_path)
    requests = [GenerateRequest(prompt, 15, temperature=3.0) for prompt in PROMPTS]
    answers = single(tmp_path, requests[:5])
    with open_models(pins(tmp_path, tmp_path)) as models:
        assert ask(models["candidate"], requests[:5]) == answers
    assert {answer.finish for answer in answers} <= {"stop", "length"}
    assert all("</s>" not in answer.text for answer in answers)


def test_the_models_own_generation_config_is_not_obeyed(tmp_path, llama):
    model = AutoModelForCausalLM.from_pretrained(llama)
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=5.0, repetition_penalty=3.0, max_new_tokens=1, eos_token_id=1
    )
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(llama).save_pretrained(tmp_path)
    requests = [GenerateRequest(prompt, 8) for prompt in PROMPTS[:6]]
    assert single(tmp_path, requests) == single(llama, requests)


def test_a_chat_answer_ends_with_its_turn(tmp_path):
    """The turn's closing token is read off the template: nothing else names it as an end here."""
    model = make_model(tmp_path)
    tokenizer = make_tokenizer(tmp_path, chat=CHAT)
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[end] = 0.5
        model.model.norm.weight.fill_(1.0)
        model.model.embed_tokens.weight.abs_()
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model.save_pretrained(tmp_path)
    chat, plain = single(tmp_path, [GenerateRequest((Message("user", "Hi"),), 5), GenerateRequest("Hi", 5)])
    assert chat == Generation("", "stop", 1)
    assert plain == Generation("", "length", 5)
    assert single(tmp_path, [GenerateRequest("Hi", 5, stop=("<|end|>",))]) == [Generation("", "stop", 1)]


def test_what_cannot_be_answered_says_why(llama, tmp_path):
    make_model(tmp_path, "gpt2")
    make_tokenizer(tmp_path, bos=False, eos=False)
    long = GenerateRequest("refund " * 60, 8)
    with open_models(pins(llama, tmp_path)) as models:
        answers = ask(
            models["candidate"],
            [long, GenerateRequest("Hi", -1), GenerateRequest("Hi", 4, temperature=-1.0), GenerateRequest("Hi", 0)],
        )
        empty, too = ask(models["base"], [GenerateRequest("", 4), GenerateRequest("Hi", CONTEXT)])
    assert all(isinstance(answer, Failed) for answer in answers[:3])
    assert f"context of {CONTEXT}" in answers[0].reason
    assert answers[3] == Generation("", "length", 0)
    assert isinstance(empty, Failed)
    assert isinstance(too, Failed)


def test_an_empty_prompt_starts_after_bos_or_eos(llama, gpt2):
    for folder in (llama, gpt2):
        (answer,) = single(folder, [GenerateRequest("", 5)])
        assert isinstance(answer, Generation)


def test_equal_requests_are_computed_once(llama, monkeypatch):
    rows: list[int] = []
    following = Network.following

    def spy(self, ids, *rest):
        rows.append(len(ids))
        return following(self, ids, *rest)

    requests = [GenerateRequest("My invoice", 3, sample=sample) for sample in range(5)]  # greedy: samples are alike
    with open_models(pins(llama, llama)) as models:
        ask(models["candidate"], requests[:1])
        monkeypatch.setattr(Network, "following", spy)
        answers = ask(models["candidate"], requests)
        assert len(set(models["candidate"].addresses(requests))) == 1
    assert len(set(answers)) == 1
    assert max(rows) == 1
