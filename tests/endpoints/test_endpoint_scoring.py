"""Log-likelihoods through an echo: matched with the text, equal to the model's own, absent where a server does less."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from echoing import Echoing
from endpoint_asking import Open
from fault_server import Answering, FaultServer, closes, completion, refuses, sends
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tiny_models import ask, logprobs, make_model, make_tokenizer, pins

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Message, ScoreRequest, TokenLogprobs
from finetune_gate.evaluators.errors import ModelError
from finetune_gate.gate.endpoints.access import Access
from finetune_gate.gate.endpoints.alignment import spans
from finetune_gate.gate.endpoints.replies import read_echo
from finetune_gate.gate.endpoints.wording import EchoText
from finetune_gate.gate.models import open_models


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    """Without a chat template: the completions API applies none."""
    folder = tmp_path_factory.mktemp("llama")
    make_model(folder)
    make_tokenizer(folder)
    return folder


REQUESTS = [
    ScoreRequest("My invoice was", " charged twice"),
    ScoreRequest("My invoice was ", "charged"),
    ScoreRequest("My invoice was", "charged", " "),
    ScoreRequest((Message("user", "label:"), Message("assistant", "praise")), " or", ""),
    ScoreRequest("", "The app crashes whenever I open it."),
    ScoreRequest("", "b"),
    ScoreRequest("Grüße 🎉 aus", " Zürich 🎉"),
    ScoreRequest("🎉🎉", "🎉"),
    ScoreRequest("日本", "語です"),
    ScoreRequest("praise", ""),
]


def test_scores_equal_those_of_the_model_itself(server: FaultServer, opened: Open, llama: Path):
    server.answer = Echoing(llama)
    model = opened(api="completions")
    assert model.abilities == {"generates", "scores_tokens", "chooses"}
    found = ask(model, [*REQUESTS])
    with open_models(pins(llama, llama)) as models:
        expected = ask(models["candidate"], [*REQUESTS])
    for request, one, other in zip(REQUESTS, found, expected, strict=True):
        assert logprobs(one) == pytest.approx(logprobs(other), abs=1e-4), request


def test_abilities_cost_one_call_and_asking_for_scores_none_more(server: FaultServer, opened: Open, llama: Path):
    server.answer = Echoing(llama)
    model = opened(api="completions")
    assert server.calls == 0
    for _ in range(3):
        assert "scores_tokens" in model.abilities
    assert server.calls == 1
    ask(model, [*REQUESTS[:2], REQUESTS[0]])
    assert server.calls == 3


def test_the_chat_api_scores_nothing_and_is_not_asked(server: FaultServer, opened: Open):
    model = opened()
    assert model.abilities == {"generates", "chooses"}
    assert isinstance(ask(model, [ScoreRequest("a", "b")])[0], Failed)
    assert server.calls == 0


TABLE = {"tokens": ["The", " capital"], "token_logprobs": [None, -1.0]}

UNABLE: list[tuple[str, Answering]] = [
    ("no log-probabilities", sends(200, completion("text"))),
    ("echo ignored", sends(200, completion(" Paris", logprobs={"tokens": [" Paris"], "token_logprobs": [-0.5]}))),
    ("empty table", sends(200, completion("x", logprobs={"tokens": [], "token_logprobs": []}))),
    ("a table of another length", sends(200, completion("x", logprobs={**TABLE, "token_logprobs": [None]}))),
    ("a table of something else", sends(200, completion("x", logprobs={"content": [{"token": "The"}]}))),
    ("refused", refuses(400, "echo is not supported")),
    ("refused as invalid", refuses(422, "extra fields: logprobs")),
    ("falls over", refuses(500, "NotImplementedError: echo")),
    ("chat only", sends(200, completion("x", "content_filter"))),
]


@pytest.mark.parametrize("answer", [row[1] for row in UNABLE], ids=[row[0] for row in UNABLE])
def test_a_server_that_does_not_score_lacks_the_ability(server: FaultServer, opened: Open, answer: Answering):
    server.answer = answer
    model = opened(api="completions")
    assert model.abilities == {"generates"}
    server.answer = sends(200, completion("fine"))
    assert "Failed" not in repr(ask(model, [GenerateRequest("q")]))


@pytest.mark.parametrize("answer", [closes, refuses(429, "busy"), refuses(503, "busy"), refuses(401, "who?")])
def test_a_server_that_cannot_be_asked_is_an_error_and_no_missing_ability(
    server: FaultServer, opened: Open, answer: Answering
):
    server.answer = answer
    model = opened(api="completions", call_seconds=0.5)
    with pytest.raises(ModelError):
        _ = model.abilities
    server.answer = sends(200, completion("x"))
    assert model.abilities == {"generates"}  # asked again


ACCESS = Access("http://h/v1", SecretStr("none"), loopback=True)


def read(tokens: list[object], values: list[object], text: str, border: int, written: int | None = None) -> Answer:
    reply: dict[str, object] = {"choices": [{"logprobs": {"tokens": tokens, "token_logprobs": values}}]}
    if written is not None:
        reply["usage"] = {"completion_tokens": written}
    return read_echo(reply, EchoText(text, border), ACCESS)


@pytest.mark.parametrize(
    ("tokens", "values", "border", "expected"),
    [
        (["A", " b", "!"], [None, -1.0, -9.0], 1, (-1.0,)),
        (["<s>", "A", " b"], [None, -5.0, -1.0], 1, (-1.0,)),
        (["A b"], [-2.0], 1, (-2.0,)),  # straddles: the continuation's
        (["A", " ", "b"], [None, -1.0, -2.0], 1, (-1.0, -2.0)),
        (["A", "b"], [None, -1.0], 1, (-1.0,)),  # a space in front is lost: the token's
        (["A", " b"], [None, 0], 1, (0.0,)),
        (["A", " b"], [None, 1e-9], 1, (1e-9,)),
    ],
)
def test_which_tokens_are_the_continuations(tokens, values, border, expected):
    assert read(tokens, values, "A b", border) == TokenLogprobs(expected)


@pytest.mark.parametrize(
    ("tokens", "values", "border", "reason"),
    [
        (["A", " b"], [None, math.nan], 1, "gave nan as"),
        (["A", " b"], [None, math.inf], 1, "gave inf as"),
        (["A", " b"], [None, -math.inf], 1, "gave -inf as"),
        (["A", " b"], [None, 10**400], 1, "gave 1000"),
        (["A", " b"], [None, 0.5], 1, "gave 0.5 as"),
        (["A", " b"], [None, "-1"], 1, "gave '-1' as"),
        (["A", " b"], [None, True], 1, "gave True as"),
        (["A", " b"], [-1.0, None], 1, "first token"),
        (["A", " b"], [None, -1.0], 0, "first token"),
        (["A", " c"], [None, -1.0], 1, "do not spell"),
        (["A"], [None], 1, "do not spell"),
        ([], [], 1, "do not spell"),
        (["A", 3], [None, -1.0], 1, "do not belong"),
    ],
)
def test_numbers_that_are_none(tokens, values, border, reason):
    answer = read(tokens, values, "A b", border)
    assert isinstance(answer, Failed)
    assert reason in answer.reason


def test_a_border_that_cannot_be_found_is_no_score():
    answer = read(["\ufffd", "\ufffd", "\ufffd"], [None, -1.0, -1.0], "éü", 1)
    assert answer == Failed(
        "the tokens of the endpoint split the characters at the border between prompt and continuation"
    )


def test_what_was_generated_is_cut_off_by_count_where_that_is_told():
    answer = read(["A", " b", " b"], [None, -1.0, -7.0], "A b", 1, written=1)
    assert answer == TokenLogprobs((-1.0,))


@pytest.mark.parametrize(
    ("tokens", "text", "expected"),
    [
        (["The", " cat", "!"], "The cat", (0, [(0, 3), (3, 7)])),
        (["<s>", "The", " cat"], "The cat", (1, [(0, 3), (3, 7)])),
        (["a", "\ufffd", "\ufffd", "b"], "aéb", (0, [(0, 1), (1, 2), (1, 2), (2, 3)])),
        (["a", " \ufffd", "\ufffd", "b"], "a éb", (0, [(0, 1), (1, 3), (1, 3), (3, 4)])),
        (["\ufffd"] * 4 + ["b"], "éüb", (0, [(0, 1), (0, 1), (1, 2), (1, 2), (2, 3)])),
        (["\ufffd"] * 3 + ["b"], "éüb", (0, [(0, 2), (0, 2), (0, 2), (2, 3)])),
        (["bytes:\\xc3", "bytes:\\xa9", "b"], "éb", (0, [(0, 1), (0, 1), (1, 2)])),
        (["", "é", "b"], "éb", (0, [(0, 1), (0, 1), (1, 2)])),
        (["a", "\ufffd", "\ufffd"], "aé", (0, [(0, 1), (1, 2), (1, 2)])),
        (["\ufffd"], "\ufffd", (0, [(0, 1)])),
        (["The", "cat"], "The  cat", (0, [(0, 3), (3, 8)])),
        (["The", "\u2581cat"], "The cat", None),
        (["The", " dog"], "The cat", None),
        (["The"], "The cat", None),
        (["token_id:5", "token_id:6"], "The cat", None),
        ([], "x", None),
    ],
)
def test_tokens_are_matched_with_the_text(tokens, text, expected):
    assert spans(tokens, text) == expected


@given(st.lists(st.text(min_size=1, max_size=6), max_size=12), st.lists(st.text(max_size=4), max_size=3))
def test_tokens_that_spell_the_text_are_found_whatever_follows(pieces, behind):
    found = spans([*pieces, *behind], "".join(pieces))
    assert found is not None
    leading, places = found
    if leading == 0 and "\ufffd" not in "".join(pieces) and not any(piece.startswith("bytes:") for piece in pieces):
        assert ["".join(pieces)[begin:end] for begin, end in places] == pieces


@given(st.lists(st.text("ab é\ufffd", max_size=4), max_size=30), st.text("ab é", max_size=30))
def test_matching_never_raises_and_places_are_in_order(tokens, text):
    found = spans(tokens, text)
    if found is not None:
        assert all(0 <= begin <= end <= len(text) for begin, end in found[1])
        assert [begin for begin, _ in found[1]] == sorted(begin for begin, _ in found[1])


def test_matching_hostile_tokens_takes_no_time():
    assert spans(["\ufffd"] * 20_000 + ["x"], "é" * 20_000) is None
    assert spans(["a"] * 20_000, "a" * 19_999 + "b") is None
