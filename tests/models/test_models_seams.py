"""A prompt that is encoded once for all its continuations gives the tokens that encoding all of it gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import CORPUS, make_tokenizer

from finetune_gate.evaluators.asking import ScoreRequest
from finetune_gate.gate.models.loading import load_tokenizer
from finetune_gate.gate.models.seams import cuts_at_spaces
from finetune_gate.gate.models.tokenizing import Renderer, Scored

GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PIECES = (*CORPUS, "label:", "\n", " ", "  ", "'s", "1234", "!?", "é", "\u0301", "</s>", "<|end|>")
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), min_size=1, max_size=6).map("".join)


def gpt4(tokenizer):
    from tokenizers import Regex, pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(GPT4), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


@pytest.fixture(scope="module", params=["gpt2", "gpt4"])
def tokenizer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder, bos=False)
    loaded = load_tokenizer(folder, None)
    return gpt4(loaded) if request.param == "gpt4" else loaded


@given(context=texts, continuation=texts)
@settings(max_examples=300, deadline=None)
def test_the_same_tokens_as_encoded_together(tokenizer, context, continuation):
    fast, slow = Renderer(tokenizer), Renderer(tokenizer)
    assert fast._cuts_at_spaces
    slow._cuts_at_spaces = False
    requests = [ScoreRequest(context, continuation, " "), ScoreRequest(context, " x" + continuation)]
    assert fast.scored(requests) == slow.scored(requests)


def test_a_prompt_is_encoded_once_for_all_labels(tokenizer, monkeypatch):
    renderer = Renderer(tokenizer)
    encoded: list[str] = []
    before = Renderer._ids
    monkeypatch.setattr(
        Renderer, "_ids", lambda self, some, **named: encoded.extend(some) or before(self, some, **named)
    )
    found = renderer.scored([ScoreRequest("A ticket. Queue:", label, " ") for label in ("bug", "praise", "billing")])
    assert encoded == ["A ticket. Queue:", " bug", " praise", " billing"]
    assert all(isinstance(one, Scored) for one in found)


def test_what_is_not_known_is_encoded_together(tmp_path):
    from tokenizers import AddedToken, normalizers, pre_tokenizers

    make_tokenizer(tmp_path)
    assert cuts_at_spaces(load_tokenizer(tmp_path, None))
    for change in (
        lambda one: setattr(one.backend_tokenizer, "normalizer", normalizers.Lowercase()),
        lambda one: setattr(one.backend_tokenizer, "pre_tokenizer", pre_tokenizers.Metaspace()),
        lambda one: setattr(one.backend_tokenizer, "pre_tokenizer", pre_tokenizers.ByteLevel(use_regex=False)),
        lambda one: one.backend_tokenizer.add_tokens(["Queue: billing"]),
        lambda one: one.backend_tokenizer.add_tokens([AddedToken("Queue:", rstrip=True)]),
    ):
        tokenizer = load_tokenizer(tmp_path, None)
        change(tokenizer)
        assert not cuts_at_spaces(tokenizer)
