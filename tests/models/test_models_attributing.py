"""Attributions and embeddings of local models: sums, completeness, adapters, batches, cuts, addresses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import fsum
from pathlib import Path

import pytest
import torch
from tiny_models import CHAT, CONTEXT, CORPUS, make_model, make_tokenizer, pins
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_gate.evaluators.asking import (
    Answer,
    AttributeRequest,
    Attribution,
    Embedding,
    EmbedRequest,
    EntailRequest,
    Failed,
    GenerateRequest,
    Message,
    ScoreRequest,
    TokenLogprobs,
)
from finetune_gate.evaluators.errors import ModelError
from finetune_gate.gate.answers.encoding import decode, encode
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.attributing import nodes
from finetune_gate.gate.models.differentiating import Differentiable, Reading
from finetune_gate.gate.models.loading import load_tokenizer
from finetune_gate.gate.models.pieces import text_pieces
from finetune_gate.gate.run.shards import ask as ask_shard

REQUESTS = [AttributeRequest(text, label, delimiter=" ") for text in CORPUS[:3] for label in ("billing", "bug report")]
INTEGRATED = [replace(request, method="integrated_gradients") for request in REQUESTS]


def attributed(model, requests: list[AttributeRequest]) -> list[Answer]:
    answers: dict[int, Answer] = {}
    model.attribute(requests, answers.__setitem__)
    return [answers[at] for at in range(len(requests))]


def attributions(model, requests: list[AttributeRequest]) -> list[Attribution]:
    answers = attributed(model, requests)
    assert all(isinstance(answer, Attribution) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Attribution)]


def embedded(model, *texts: str) -> list[Answer]:
    answers: dict[int, Answer] = {}
    model.embed([EmbedRequest(text) for text in texts], answers.__setitem__)
    return [answers[at] for at in range(len(texts))]


def error_of(found: Attribution) -> float:
    moved = found.logprob - found.uninformed
    return abs(fsum(found.weights) - moved) / abs(moved)


def same(left: Attribution, right: Attribution, tolerance: float = 1e-4) -> None:
    assert left.tokens == right.tokens
    for name in ("weights", "similarity"):
        assert getattr(left, name) == pytest.approx(getattr(right, name), abs=tolerance)
    for name in Attribution.__slots__[3:]:
        assert getattr(left, name) == pytest.approx(getattr(right, name), abs=tolerance)


@pytest.fixture(scope="module")
def base(llama):
    with open_models(pins(llama, llama)) as models:
        yield models["base"]


def one_pass_for_each_target(folder: Path, context: list[int], targets: list[int], start: int) -> list[float]:
    """Gradient times distance, a backward pass for every target token, summed: slow and plain."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    table = model.get_input_embeddings().weight.detach()
    special = {0, 1, 2, 3, 4, 5}
    total = [0.0] * len(context)
    for at, target in enumerate(targets):
        ids = [*context, *targets[:at]]
        embeds = table[torch.tensor([ids])].clone().requires_grad_()
        logprob = model(inputs_embeds=embeds).logits[0, -1].log_softmax(-1)[target]
        (gradient,) = torch.autograd.grad(logprob, embeds)
        for place, token in enumerate(context):
            if token not in special:
                total[place] += float(gradient[0, place] @ (table[token] - table[start]))
    return total


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_one_backward_pass_is_the_sum_over_target_tokens(request, shape):
    folder = request.getfixturevalue(shape)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with open_models(pins(folder, folder)) as models:
        found = attributions(models["candidate"], REQUESTS)
    for asked, answer in zip(REQUESTS, found, strict=True):
        context = tokenizer(asked.prompt).input_ids
        targets = tokenizer(" " + asked.continuation, add_special_tokens=False).input_ids
        expected = one_pass_for_each_target(folder, context, targets, tokenizer.eos_token_id)
        assert answer.weights == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_integrated_gradients_are_complete_at_the_default_number_of_steps(request, shape):
    folder = request.getfixturevalue(shape)
    with open_models(pins(folder, folder)) as models:
        found = attributions(models["candidate"], INTEGRATED)
    assert max(map(error_of, found)) < 0.01


def test_log_probabilities_are_those_of_scoring(base):
    scores: dict[int, Answer] = {}
    base.score([ScoreRequest(one.prompt, one.continuation, one.delimiter) for one in REQUESTS], scores.__setitem__)
    for at, found in enumerate(attributions(base, REQUESTS)):
        scored = scores[at]
        assert isinstance(scored, TokenLogprobs)
        assert found.logprob == pytest.approx(fsum(scored.logprobs), abs=1e-4)
        assert found.uninformed != pytest.approx(found.logprob, abs=1e-3)


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 32, 33])
def test_quadrature_is_exact_for_cubics_wherever_the_line_bends(steps):
    flat, step, nothing = [0.0] * (steps + 1), [-9.0] * steps + [0.0], [float("nan")] * (steps + 1)
    for line in (flat, step, nothing, [-at / 7 for at in range(steps + 1)]):
        places = nodes(
            AttributeRequest("a", "b", "integrated_gradients", steps), [Reading(logprob) for logprob in line]
        )
        assert len(places) == steps
        assert all(0 < place < 1 for place, _ in places)
        assert all(left < right for (left, _), (right, _) in pairwise(places))
        for degree in range(min(2 * steps, 4)):
            assert fsum(weight * place**degree for place, weight in places) == pytest.approx(1 / (degree + 1))


def test_nodes_crowd_where_the_log_probability_changes():
    line = [Reading(-9.0 if at < 20 else 0.0) for at in range(33)]
    places = nodes(INTEGRATED[0], line)
    assert sum(19 / 32 <= place <= 20 / 32 for place, _ in places) >= 12
    assert nodes(REQUESTS[0], []) == [(1.0, 1.0)]


def test_adapters_on_and_off_differ_and_off_is_the_plain_base(llama, adapter, base):
    plain = attributions(base, INTEGRATED[:2])
    with open_models(pins(adapter, llama)) as models:
        ours = attributions(models["candidate"], INTEGRATED[:2])
        assert attributions(models["base"], INTEGRATED[:2]) == plain
        assert attributions(models["candidate"], INTEGRATED[:2]) == ours
        assert models["candidate"]._weights is models["base"]._weights
    for one, other in zip(ours, plain, strict=True):
        assert one.tokens == other.tokens
        assert one.weights != pytest.approx(other.weights, abs=1e-2)


def test_answers_do_not_depend_on_the_batch(llama, base):
    together = attributions(base, [*INTEGRATED, *REQUESTS])
    with open_models(pins(llama, llama), batch_tokens=1) as models:
        alone = attributions(models["base"], [*INTEGRATED, *REQUESTS])
    for one, other in zip(together, alone, strict=True):
        same(one, other, 2e-4)


def test_twins_are_all_answered_and_alike(base):
    first, second = attributions(base, [REQUESTS[0], REQUESTS[0]])
    same(first, second)


def test_repeated_tokens_have_weights_of_their_own(base):
    (found,) = attributions(base, [AttributeRequest("card card card card", "billing", delimiter=" ")])
    places = [at for at, token in enumerate(found.tokens) if token == " card"]
    assert len(places) == 3
    assert len({round(found.weights[at], 6) for at in places}) == 3


def test_tokens_joined_are_the_prompt_as_it_was_read(base, gpt2):
    text = "Grüße 👍🏽 invoice\n\n„naïve“ \ufffd x"
    (plain,) = attributions(base, [AttributeRequest(text, "billing")])
    assert "".join(plain.tokens) == "<s>" + text
    assert "" in plain.tokens  # parts of characters
    (chat,) = attributions(base, [AttributeRequest((Message("user", text),), "billing")])
    assert "".join(chat.tokens) == f"<s><|user|>{text}<|end|><|assistant|>"
    assert [weight for token, weight in zip(chat.tokens, chat.weights, strict=True) if token.startswith("<")] == [0] * 4
    tokenizer = load_tokenizer(gpt2, gpt2)
    ids = tokenizer(
        ["👍"], add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
    )
    cut = ids["input_ids"][0][1:]  # a prompt that was cut within a character
    assert "".join(text_pieces(tokenizer, cut)) == tokenizer.decode(
        cut, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    assert text_pieces(tokenizer, ()) == ()


def test_a_long_prompt_is_cut_from_its_left(base):
    long = AttributeRequest(" ".join(CORPUS), "billing", delimiter=" ")
    (found,) = attributions(base, [long])
    assert len(found.tokens) < CONTEXT
    assert " ".join(CORPUS).endswith("".join(found.tokens))
    (scored,) = [
        answer for answer in ask_shard(base, [ScoreRequest(long.prompt, "billing", " ")], lambda *_: None).values()
    ]
    assert isinstance(scored, TokenLogprobs)
    assert scored.dropped_context


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (AttributeRequest("", "billing"), "there is no prompt"),
        (AttributeRequest("invoice", ""), "there is no continuation"),
        (AttributeRequest("   ", "billing"), "none but special tokens"),
        (AttributeRequest("<s>", "billing"), "none but special tokens"),
        (AttributeRequest("invoice", "xyz " * CONTEXT), f"and the context is {CONTEXT}"),
        (replace(INTEGRATED[0], steps=0), "0 steps"),
        (replace(INTEGRATED[0], steps=10**9), "steps; attribution takes 1 to 1024"),
    ],
)
def test_what_cannot_be_attributed_fails_with_the_reason(base, asked, reason):
    failed, found = attributed(base, [asked, REQUESTS[0]])
    assert isinstance(failed, Failed)
    assert reason in failed.reason
    assert isinstance(found, Attribution)


def test_a_model_of_numbers_that_are_none_fails(tmp_path):
    model = make_model(tmp_path)
    make_tokenizer(tmp_path)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    model.save_pretrained(tmp_path)
    with open_models(pins(tmp_path, tmp_path)) as models:
        assert all(isinstance(answer, Failed) for answer in attributed(models["base"], REQUESTS[:2]))
        assert isinstance(embedded(models["base"], "invoice")[0], Failed)


def test_an_architecture_that_takes_no_embeddings_is_said_so(llama, monkeypatch):
    monkeypatch.setattr(Differentiable, "differentiates", False)
    with open_models(pins(llama, llama)) as models:
        (failed,) = attributed(models["base"], REQUESTS[:1])
    assert isinstance(failed, Failed)
    assert "embeddings in place of tokens" in failed.reason


def test_out_of_memory_halves_the_batch_and_one_prompt_that_does_not_fit_is_an_error(base, monkeypatch):
    expected = attributions(base, INTEGRATED[:2])
    slopes, sizes = Differentiable.slopes, []

    def small(self, points, start):
        sizes.append(len(points))
        if len(points) > 3:
            raise RuntimeError("CUDA out of memory")
        return slopes(self, points, start)

    monkeypatch.setattr(Differentiable, "slopes", small)
    for one, other in zip(attributions(base, INTEGRATED[:2]), expected, strict=True):
        same(one, other, 2e-4)
    assert max(sizes) > 3 >= sizes[-1]

    def never(self, points, start):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(Differentiable, "slopes", never)
    with pytest.raises(ModelError, match="does not fit"):
        attributed(base, INTEGRATED[:1])


def test_a_caller_in_inference_mode_gets_the_same(base):
    with torch.inference_mode():
        inside = attributions(base, REQUESTS[:1])
    assert inside == attributions(base, REQUESTS[:1])


def test_other_questions_between_change_nothing(base):
    asked = [ScoreRequest(CORPUS[0], "billing", " ")]
    before = list(ask_shard(base, asked, lambda *_: None).values())
    attributed(base, INTEGRATED[:1])
    assert list(ask_shard(base, asked, lambda *_: None).values()) == before


def test_every_answer_is_kept_bit_for_bit(base):
    for answer in (*attributions(base, [REQUESTS[0], INTEGRATED[0]]), *embedded(base, CORPUS[0])):
        assert not isinstance(answer, Failed)
        assert decode(encode(answer)) == answer


def test_addresses_tell_apart_what_is_asked(base, other_llama):
    first = INTEGRATED[0]
    asked = [
        first,
        replace(first, steps=16),
        replace(first, method="input_x_gradient"),
        replace(first, continuation="praise"),
        replace(first, prompt="Another"),
        replace(first, delimiter="\n"),
        ScoreRequest(first.prompt, first.continuation, first.delimiter),
        EmbedRequest(str(first.prompt)),
        GenerateRequest(first.prompt),
        EntailRequest(str(first.prompt), first.continuation),
        replace(first, prompt=""),
    ]
    addresses = base.addresses(asked)
    assert len(set(addresses)) == len(asked)
    assert addresses == base.addresses(asked)
    one_step = [replace(first, method="input_x_gradient", steps=steps) for steps in (1, 32)]
    assert len(set(base.addresses(one_step))) == 1
    with open_models(pins(other_llama, other_llama)) as models:
        assert not set(models["base"].addresses(asked)) & set(addresses)


def test_tokens_count_every_pass(base):
    once = base.tokens([ScoreRequest(str(REQUESTS[0].prompt), REQUESTS[0].continuation, " ")]).read
    assert base.tokens([REQUESTS[0]]).read == 7 * once
    assert base.tokens([INTEGRATED[0]]).read == 71 * once
    assert base.tokens([EntailRequest("a", "b")]).read == 0
    before = base.usage().prompt_tokens
    attributed(base, REQUESTS[:1])
    assert base.usage().prompt_tokens == before + 7 * once


def make_planted(folder: Path, certainty: float) -> str:
    """A model to which all tokens are one but for " invoice", and that says " was" after it: the more surely, the
    higher ``certainty``."""
    tokenizer = make_tokenizer(folder)
    model = make_model(folder)
    (sign,) = tokenizer(" invoice", add_special_tokens=False).input_ids
    (label,) = tokenizer(" was", add_special_tokens=False).input_ids
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.down_proj.weight.zero_()
            layer.self_attn.q_proj.weight.zero_()  # all positions are looked at alike
            layer.self_attn.o_proj.weight.zero_()
        model.model.embed_tokens.weight.fill_(1.0)
        model.model.embed_tokens.weight[:, 0] = 0.0
        model.model.embed_tokens.weight[sign, 0] = 1.0
        first = model.model.layers[0].self_attn
        first.v_proj.weight.zero_()
        first.v_proj.weight[:, 0] = 1.0
        first.o_proj.weight[0] = 0.1
        model.lm_head.weight.zero_()
        model.lm_head.weight[label, 0] = certainty
    model.save_pretrained(folder)
    return "My invoice was charged twice this month, please refund"


@pytest.mark.parametrize("method", ["input_x_gradient", "integrated_gradients"])
def test_a_model_that_rests_on_one_token_is_found_out(tmp_path, method):
    prompt = make_planted(tmp_path, 10.0)
    with open_models(pins(tmp_path, tmp_path)) as models:
        (found,) = attributions(models["base"], [AttributeRequest(prompt, "was", method, delimiter=" ")])
    weights = dict(zip(found.tokens, found.weights, strict=True))
    assert max(weights, key=weights.__getitem__) == " invoice"
    assert weights[" invoice"] > 10 * sum(abs(weight) for token, weight in weights.items() if token != " invoice")
    assert found.comprehensiveness > 0.5
    assert found.sufficiency == pytest.approx(0.0, abs=1e-4)
    assert found.comprehensiveness >= found.random_comprehensiveness
    assert found.sufficiency <= found.random_sufficiency


def test_steps_find_where_a_model_becomes_sure_of_its_answer(tmp_path):
    """Within a hundredth of the line, where evenly spread steps would see nothing of it."""
    prompt = make_planted(tmp_path, 5_000.0)
    with open_models(pins(tmp_path, tmp_path)) as models:
        first_order, integrated = attributions(
            models["base"],
            [
                AttributeRequest(prompt, "was", method, delimiter=" ")
                for method in ("input_x_gradient", "integrated_gradients")
            ],
        )
    assert integrated.logprob - integrated.uninformed > 5
    assert error_of(integrated) < 0.05
    assert error_of(first_order) > 0.9


def test_weights_of_a_model_that_ignores_its_prompt_are_nothing(tmp_path):
    """Negative control."""
    make_tokenizer(tmp_path)
    model = make_model(tmp_path)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
    model.save_pretrained(tmp_path)
    # the last prompt token is read by the first prediction even without attention, so it is a special one
    prompt = (Message("user", CORPUS[0]),)
    make_tokenizer(tmp_path, chat=CHAT)
    with open_models(pins(tmp_path, tmp_path)) as models:
        (found,) = attributions(models["base"], [AttributeRequest(prompt, "billing", "integrated_gradients")])
    assert found.weights == pytest.approx([0.0] * len(found.weights), abs=1e-6)
    assert found.comprehensiveness == pytest.approx(0.0, abs=1e-6)
    assert found.logprob == pytest.approx(found.uninformed, abs=1e-6)


def test_similarity_is_the_highest_cosine_to_a_token_of_the_continuation(llama, base):
    asked = REQUESTS[0]
    (found,) = attributions(base, [asked])
    tokenizer = AutoTokenizer.from_pretrained(llama)
    context = tokenizer(asked.prompt).input_ids
    targets = tokenizer(" " + asked.continuation, add_special_tokens=False).input_ids
    with torch.inference_mode():
        body = AutoModelForCausalLM.from_pretrained(llama).eval().model
        states = body(torch.tensor([[*context, *targets]])).last_hidden_state[0]
    unit = states / states.norm(dim=-1, keepdim=True)
    expected = (unit[: len(context)] @ unit[len(context) :].T).amax(-1)
    assert found.similarity == pytest.approx(expected.tolist(), abs=1e-5)


def test_embeddings_are_unit_vectors_that_do_not_depend_on_the_batch(llama, base):
    texts = [*CORPUS, CORPUS[0] + " ", "Grüße"]
    together = embedded(base, *texts)
    with open_models(pins(llama, llama), batch_tokens=1) as models:
        alone = embedded(models["base"], *texts)
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Embedding)
        assert isinstance(other, Embedding)
        assert fsum(value * value for value in one.vector) == pytest.approx(1.0, abs=1e-6)
        assert one.vector == pytest.approx(other.vector, abs=1e-5)
    (empty, long) = embedded(base, "", " ".join(CORPUS))
    assert empty == Failed("the text has no tokens of its own")
    assert isinstance(long, Embedding)


def test_an_adapter_embeds_otherwise_than_its_base(llama, adapter, base):
    with open_models(pins(adapter, llama)) as models:
        (ours,), (theirs,) = embedded(models["candidate"], CORPUS[0]), embedded(models["base"], CORPUS[0])
    assert embedded(base, CORPUS[0]) == [theirs]
    assert isinstance(ours, Embedding)
    assert isinstance(theirs, Embedding)
    assert ours.vector != pytest.approx(theirs.vector, abs=1e-2)


def test_shards_ask_for_both(base):
    asked = [REQUESTS[0], EmbedRequest("invoice"), EntailRequest("a", "b")]
    answers = ask_shard(base, asked, lambda *_: None)
    assert isinstance(answers[asked[0]], Attribution)
    assert isinstance(answers[asked[1]], Embedding)
    assert answers[asked[2]] == Failed("the model lacks the ability 'entails'")
