"""Prompts as token ids: BOS, templates, seams. And which tokenizer is loaded."""

from __future__ import annotations

import json

import pytest
from tiny_models import CHAT, make_tokenizer
from transformers import AutoConfig, AutoTokenizer

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Message, ScoreRequest
from finetune_gate.evaluators.errors import ModelError
from finetune_gate.gate.models.loading import PLAIN_TOKENIZER_TYPES, context_length, load_tokenizer
from finetune_gate.gate.models.tokenizing import Prompted, Renderer, Scored

HELLO = (Message("system", "Be brief."), Message("user", "Hello"))


@pytest.fixture
def made(tmp_path):
    def make(**options):
        tokenizer = make_tokenizer(tmp_path, **options)
        return tokenizer, Renderer(tokenizer)

    return make


def ids(tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)


def test_bos_stands_once_where_the_tokenizer_puts_it(made):
    tokenizer, renderer = made()
    assert renderer.adds_bos
    wanted = Prompted((0, *ids(tokenizer, "Hello")))
    assert renderer.prompts([GenerateRequest("Hello"), GenerateRequest("<s>Hello")]) == [wanted, wanted]
    assert renderer.prompts([GenerateRequest("")]) == [Prompted((0,))]
    (scored,) = renderer.scored([ScoreRequest("Hello", "you", " ")])
    assert scored == Scored((0, *ids(tokenizer, "Hello")), ids(tokenizer, " you"))


def test_bos_stands_nowhere_where_the_tokenizer_does_not_put_it(made):
    tokenizer, renderer = made(adds_bos=False)
    assert not renderer.adds_bos
    assert renderer.prompts([GenerateRequest("Hello")]) == [Prompted(ids(tokenizer, "Hello"))]
    assert renderer.scored([ScoreRequest("", "Hello")]) == [Scored((0,), ids(tokenizer, "Hello"), document=True)]
    assert renderer.scored([ScoreRequest("", "Hello", " ")]) == renderer.scored([ScoreRequest("", "Hello")])


def test_eos_in_the_place_of_bos_and_neither(made):
    tokenizer, renderer = made(bos=False)
    assert renderer.scored([ScoreRequest("", "Hello")]) == [Scored((1,), ids(tokenizer, "Hello"), document=True)]
    _, renderer = made(bos=False, eos=False)
    assert isinstance(renderer.scored([ScoreRequest("", "Hello")])[0], Failed)
    assert isinstance(renderer.scored([ScoreRequest("  ", "Hello")])[0], Failed)
    assert isinstance(renderer.prompts([GenerateRequest("")])[0], Failed)


def test_a_tokenizer_that_adds_eos_too_does_not_end_the_prompt(made):
    from tokenizers import processors

    tokenizer, _ = made()
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    assert tokenizer("Hello").input_ids[-1] == 1
    assert Renderer(tokenizer).prompts([GenerateRequest("Hello")]) == [Prompted((0, *ids(tokenizer, "Hello")))]


def test_whitespace_before_the_seam_belongs_to_the_continuation(made):
    tokenizer, renderer = made(adds_bos=False)
    for request in (ScoreRequest("Hello", "you", " "), ScoreRequest("Hello ", "you"), ScoreRequest("Hello", " you")):
        assert renderer.scored([request]) == [Scored(ids(tokenizer, "Hello"), ids(tokenizer, " you"))]
    assert renderer.scored([ScoreRequest("Hello\n", "you", " ")]) == [
        Scored(ids(tokenizer, "Hello"), ids(tokenizer, "Hello\n you")[len(ids(tokenizer, "Hello")) :])
    ]


def test_where_the_seam_lies_inside_a_token_both_sides_are_encoded_apart(made):
    tokenizer, renderer = made(adds_bos=False)
    word = "billing"
    left, right = next(
        (word[:at], word[at:])
        for at in range(1, len(word))
        if ids(tokenizer, word)[: len(ids(tokenizer, word[:at]))] != ids(tokenizer, word[:at])
    )
    assert renderer.scored([ScoreRequest(left, right)]) == [Scored(ids(tokenizer, left), ids(tokenizer, right))]


def test_chat_templates_keep_their_own_bos_and_their_end(made):
    tokenizer, renderer = made(chat=CHAT + "{{ '\\n' }}")
    rendered = "<s><|system|>Be brief.<|end|><|user|>Hello<|end|><|assistant|>\n"
    assert renderer.prompts([GenerateRequest(HELLO)]) == [Prompted(ids(tokenizer, rendered), rendered=True)]
    (scored,) = renderer.scored([ScoreRequest(HELLO, "praise", " ")])
    assert scored.context + scored.targets == ids(tokenizer, rendered + "praise")
    assert scored.context == ids(tokenizer, rendered)
    assert renderer.turn_end() == tokenizer.convert_tokens_to_ids("<|end|>")


def test_without_a_template_contents_are_joined(made):
    _, renderer = made()
    assert renderer.prompts([GenerateRequest(HELLO)]) == renderer.prompts([GenerateRequest("Be brief.\n\nHello")])
    assert renderer.turn_end() is None


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('System role not supported') }}",
        "{{ 1 / 0 }}",
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{% for",
        "{{ 'x' * 1000000000000 }}",
    ],
)
def test_what_a_template_raises_is_a_failed_request(made, template):
    _, renderer = made(chat=template)
    for answer in (*renderer.prompts([GenerateRequest(HELLO)]), *renderer.scored([ScoreRequest(HELLO, "x")])):
        assert isinstance(answer, Failed)
        assert "chat template" in answer.reason
    assert isinstance(renderer.prompts([GenerateRequest("plain")])[0], Prompted)


def test_a_template_reads_the_same_date_every_day(made):
    tokenizer, renderer = made(
        chat="{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
        "Today: {{ date_string }}, {{ strftime_now('%Y-%m-%d') }}"
    )
    (prompt,) = renderer.prompts([GenerateRequest(HELLO)])
    assert tokenizer.decode(prompt.ids) == "Today: 26 Jul 2024, 2024-07-26"


def test_one_continuation_that_is_no_token(made):
    from tokenizers import normalizers

    tokenizer, _ = made()
    tokenizer._tokenizer.normalizer = normalizers.Replace("~", "")
    scored = Renderer(tokenizer).scored([ScoreRequest("Hello", "~"), ScoreRequest("Hello", "~x")])
    assert isinstance(scored[0], Failed)
    assert isinstance(scored[1], Scored)


@pytest.mark.parametrize("kind", sorted(PLAIN_TOKENIZER_TYPES))
def test_the_tokenizer_is_the_one_that_auto_tokenizer_gives(tmp_path, kind):
    make_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    config = AutoConfig.from_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path, config=config)
    ours = load_tokenizer(tmp_path, tmp_path)
    assert type(ours) is type(theirs)
    text = "My invoice: 13 times <|end|> too  high"
    assert ours([text])["input_ids"] == theirs([text])["input_ids"]


def test_other_architectures_go_through_auto_tokenizer(tmp_path):
    make_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    config = AutoConfig.from_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path, config=config)
    assert type(load_tokenizer(tmp_path, tmp_path)) is type(theirs)


def test_a_tokenizer_that_does_not_give_back_its_text_is_an_error(tmp_path):
    tokenizer = make_tokenizer(tmp_path)
    tokenizer._tokenizer.decoder = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="the same text back"):
        load_tokenizer(tmp_path, None)


def test_context_length_is_the_smaller_of_what_is_declared(made):
    tokenizer, _ = made()
    assert context_length({"max_position_embeddings": 48}, tokenizer) == 48
    assert context_length({"n_positions": 32}, tokenizer) == 32
    assert context_length({"text_config": {"max_position_embeddings": 64}}, tokenizer) == 64
    assert context_length({}, tokenizer) == 2048
    tokenizer.model_max_length = 40
    assert context_length({"max_position_embeddings": 48}, tokenizer) == 40
    tokenizer.model_max_length = 0
    assert context_length({"max_position_embeddings": 48}, tokenizer) == 48
