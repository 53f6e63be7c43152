"""Every way in which a server can fail, over a real connection: what becomes of the answer, and in how many calls."""

from __future__ import annotations

import gzip
import json
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from endpoint_asking import Open, generated, prompts
from fault_server import (
    Answering,
    FaultServer,
    chat,
    closes,
    drips,
    hangs,
    pours,
    refuses,
    sends,
    truncates,
)

from finetune_gate.evaluators.asking import Answer, Failed, Generation
from finetune_gate.evaluators.errors import ModelError
from finetune_gate.gate.endpoints import EndpointModel
from finetune_gate.gate.endpoints.pacing import Backoff
from finetune_gate.gate.models.protocol import Usage

HTML = b"<html><body>Sign in</body></html>"


def ask(model: EndpointModel, count: int = 1, **settings) -> list[Answer]:
    return generated(model, prompts(count, **settings))


def later(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


# what the server does first; the answer comes in the call after
RECOVERED: list[tuple[str, list[Answering]]] = [
    ("429", [refuses(429, "slow down")]),
    ("429 several times", [refuses(429, "slow down")] * 3),
    ("429 with seconds", [sends(429, {}, {"Retry-After": "0.2"})]),
    ("429 with milliseconds", [sends(429, {}, {"retry-after-ms": "200"})]),
    ("429, come back at once", [sends(429, {}, {"Retry-After": "0"})]),
    ("429 with nonsense", [sends(429, {}, {"Retry-After": "soon"})]),
    ("503", [refuses(503, "overloaded")]),
    ("500", [refuses(500, "oops")]),
    ("502 as HTML", [sends(502, HTML)]),
    ("408", [refuses(408, "late")]),
    ("409", [refuses(409, "locked")]),
    ("connection closed", [closes]),
    ("truncated", [truncates]),
    ("malformed JSON", [sends(200, b'{"choices": [')]),
    ("HTML with 200", [sends(200, HTML)]),
    ("empty", [sends(200, b"")]),
    ("no choices", [sends(200, {"choices": []})]),
    ("five of one kind", [refuses(500, "oops")] * 5),
    ("429, then a bit of everything", [refuses(429, "slow"), closes, refuses(500, "oops"), sends(200, HTML)]),
]


@pytest.mark.parametrize(("name", "first"), RECOVERED, ids=[row[0] for row in RECOVERED])
def test_a_passing_fault_is_waited_out(server: FaultServer, opened: Open, name: str, first: list[Answering]):
    server.first = list(first)
    model = opened()
    assert ask(model) == [Generation("fine", "stop", 3)]
    calls = len(first) + 1
    assert server.calls == calls
    refused = 3 if "several" in name else int(name.startswith("429"))
    assert model.usage() == Usage(calls, model.usage().prompt_tokens, 3, retries=calls - 1, rate_limited=refused)


# what the server always does, what the reason says, and how many calls it takes to give up
LASTING: list[tuple[str, Answering, str, int]] = [
    ("500", refuses(500, "oops"), "after 6 attempts; at last: HTTP 500: oops", 6),
    ("504", refuses(504, "upstream is late"), "HTTP 504: upstream is late", 6),
    ("closed", closes, "ServerDisconnected", 6),
    ("truncated", truncates, "ContentLengthError", 6),
    ("400", refuses(400, "context length exceeded"), "HTTP 400: context length exceeded", 1),
    ("422 of FastAPI", sends(422, {"detail": [{"loc": ["body"], "msg": "bad"}]}), "HTTP 422", 1),
    ("413 as HTML", sends(413, HTML), "HTTP 413: Sign in", 1),
    ("malformed JSON", sends(200, b"{"), "not valid JSON", 3),
    ("deep JSON", sends(200, b"[" * 30_000), "not valid JSON", 3),
    ("HTML", sends(200, HTML), "the response is HTML", 3),
    ("no choices", sends(200, {}), "no choices", 3),
    ("empty choices", sends(200, {"choices": []}), "no choices", 3),
    ("an error with 200", sends(200, {"error": {"message": "out of cheese"}}), "out of cheese", 3),
    ("a choice that is a text", sends(200, {"choices": ["fine"]}), "not an object", 3),
    ("no message", sends(200, {"choices": [{"finish_reason": "stop"}]}), "no message", 3),
    ("content a list", sends(200, chat(["fine"])), "a JSON list, not a text", 3),
    ("content null", sends(200, chat(None)), "no content", 1),
    ("content filter", sends(200, chat("half of", "content_filter")), "content filter", 1),
    ("refusal", sends(200, chat(None, refusal="I will not")), "the model refused: I will not", 1),
    ("tool call", sends(200, chat(None, "tool_calls", tool_calls=[{"id": "1"}])), "called a tool", 1),
    ("unknown end", sends(200, chat("fine", "cosmic ray")), "unknown reason: 'cosmic ray'", 1),
    ("end of a wrong type", sends(200, chat("fine", {"a": 1})), "unknown reason", 1),
    ("too long, declared", pours(200, declared=True), "longer than 65,536 bytes", 1),
    ("too long, undeclared", pours(200), "longer than 65,536 bytes", 1),
    ("too long an error", pours(200, status=500), "longer than 65,536 bytes", 1),
    ("compressed", sends(200, gzip.compress(b" " * 9_999_999), {"Content-Encoding": "gzip"}), "compressed", 1),
    ("control characters", refuses(400, "\x1b[31mred\u202e\x00" + "x" * 5000), "\\x1b[31mred\\u202e\\x00xxx", 1),
    ("a surprising status", sends(299, b"?"), "not valid JSON", 3),
]


@pytest.mark.parametrize(("fault", "reason", "calls"), [row[1:] for row in LASTING], ids=[row[0] for row in LASTING])
def test_a_lasting_fault_fails_its_request_with_the_reason(
    server: FaultServer, opened: Open, fault: Answering, reason: str, calls: int
):
    server.answer = fault
    begun = time.monotonic()
    (answer,) = ask(opened())
    assert time.monotonic() - begun < 5 + 1
    assert isinstance(answer, Failed)
    assert reason in answer.reason
    assert len(answer.reason) < 500
    assert answer.reason.isprintable()
    assert server.calls == calls


# what the server always does where only the deadline ends it
ENDLESS: list[tuple[str, Answering, str, range]] = [
    ("hangs", hangs, "no complete answer within", range(2, 3)),
    ("drips", drips, "no complete answer within", range(2, 3)),
    ("429", refuses(429, "slow down"), "HTTP 429: slow down", range(2, 9)),
    ("503", refuses(503, "overloaded"), "HTTP 503: overloaded", range(2, 7)),
    ("429, come back in an hour", sends(429, {}, {"Retry-After": "3600"}), "HTTP 429", range(1, 2)),
    ("429, come back never", sends(429, {}, {"Retry-After": "inf"}), "HTTP 429", range(1, 2)),
    ("500, come back in an hour", sends(500, {}, {"Retry-After": "3600"}), "HTTP 500", range(1, 2)),
]


@pytest.mark.parametrize(("fault", "reason", "calls"), [row[1:] for row in ENDLESS], ids=[row[0] for row in ENDLESS])
def test_every_answer_ends_at_its_deadline(
    server: FaultServer, opened: Open, fault: Answering, reason: str, calls: range
):
    server.answer = fault
    begun = time.monotonic()
    (answer,) = ask(opened(call_seconds=1.0))
    assert time.monotonic() - begun < 1 + 1
    assert isinstance(answer, Failed)
    assert "within 1 s" in answer.reason
    assert reason in answer.reason
    assert server.calls in calls


@pytest.mark.parametrize("header", [lambda: "0.5", lambda: later(2)], ids=["seconds", "date"])
def test_a_delay_asked_for_is_kept(server: FaultServer, opened: Open, header: Callable[[], str]):
    server.first = [sends(429, {}, {"Retry-After": header()})]
    begun = time.monotonic()
    ask(opened())
    assert 0.45 < time.monotonic() - begun < 4


# what no further call can mend
FATAL: list[tuple[str, Answering, dict[str, str], list[str]]] = [
    ("401 with a key", refuses(401, "bad key"), {"TEST_KEY": "k"}, ["refuses the key in TEST_KEY", "export TEST_KEY="]),
    ("401 without", refuses(401, "who?"), {}, ["wants a key, and TEST_KEY is not set", "HTTP 401: who?"]),
    ("403", refuses(403, "not for you"), {"TEST_KEY": "k"}, ["refuses the key in TEST_KEY", "HTTP 403"]),
    (
        "404",
        refuses(404, "no model tiny"),
        {},
        ["is not there (HTTP 404: no model tiny)", "ends with the API's version"],
    ),
    ("405", sends(405, b""), {}, ["is not there (HTTP 405)"]),
    ("redirect", sends(307, b"", {"Location": "http://127.0.0.1:9/v1"}), {}, ["is somewhere else (HTTP 307)"]),
    ("no credit", refuses(429, "pay", code="insufficient_quota"), {}, ["has no credit left (HTTP 429: pay)"]),
]


@pytest.mark.parametrize(("fault", "environ", "said"), [row[1:] for row in FATAL], ids=[row[0] for row in FATAL])
def test_what_no_call_can_mend_ends_the_model_at_once(
    server: FaultServer, opened: Open, fault: Answering, environ: dict[str, str], said: list[str]
):
    server.answer = fault
    model = opened(environ=environ)
    with pytest.raises(ModelError) as caught:
        ask(model, 1000)
    for text in (f"endpoint {server.base_url}, model tiny", *said):
        assert text in str(caught.value)
    assert server.calls <= 16
    server.answer = sends()
    assert ask(model, 3) == [Generation("fine", "stop", 3)] * 3  # and nothing was left in a bad state


def test_a_403_after_answers_is_about_one_request(server: FaultServer, opened: Open):
    model = opened()
    ask(model)
    server.first = [refuses(403, "flagged by moderation")]
    assert ask(model) == [Failed("HTTP 403: flagged by moderation")]


def test_answers_that_came_before_the_end_are_delivered(server: FaultServer, opened: Open):
    server.first = [sends()] * 10
    server.answer = refuses(404, "gone")
    delivered: list[int] = []
    with pytest.raises(ModelError):
        opened(max_in_flight=1).generate(prompts(50), lambda index, _: delivered.append(index))
    assert delivered == list(range(10))


def test_nobody_at_the_address(server: FaultServer, opened: Open):
    server.__exit__()
    begun = time.monotonic()
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        ask(opened(), 1000)
    assert time.monotonic() - begun < 5
    assert "way out:  start it, or correct base_url" in str(caught.value)


def test_a_server_that_dies_fails_what_is_left(server: FaultServer, opened: Open):
    model = opened(call_seconds=1.0, backoff=Backoff(first_seconds=0.2))
    ask(model, 5)
    server.__exit__()
    begun = time.monotonic()
    answers = ask(model, 400)
    assert time.monotonic() - begun < 2 * 1 + 2
    assert all(isinstance(answer, Failed) for answer in answers)
    assert any("not waited for: the endpoint gave no answer for" in answer.reason for answer in answers)


def test_a_server_that_hangs_costs_two_deadlines_not_one_per_answer(server: FaultServer, opened: Open):
    server.answer = hangs
    begun = time.monotonic()
    answers = ask(opened(call_seconds=0.5), 500)
    assert time.monotonic() - begun < 2 * 0.5 + 2
    assert all(isinstance(answer, Failed) for answer in answers)
    assert server.calls < 40


def test_long_responses_are_not_held_in_memory(server: FaultServer, opened: Open):
    ask(opened())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    server.answer = pours(300)
    ask(opened(), 8)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_faults_in_a_crowd_all_end(server: FaultServer, opened: Open):
    """One call in five goes wrong in some way; every answer comes all the same."""
    kinds = [refuses(500, "oops"), closes, sends(200, HTML), refuses(429, "slow"), truncates]
    server.first = [kinds[at // 5 % 5] if at % 5 == 0 else sends() for at in range(300)]
    server.latency = 0.005
    assert ask(opened(), 200) == [Generation("fine", "stop", 3)] * 200


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (chat("done", "length"), Generation("done", "length", 3)),
        (chat("", "length"), Generation("", "length", 3)),
        (chat("one\ntwo", "length"), Generation("one", "stop", 3)),
        (chat("fine", "eos_token"), Generation("fine", "stop", 3)),
        (chat("fine", usage=None), Generation("fine", "stop", 1)),
        (chat("twelve bytes", usage={"completion_tokens": -4}), Generation("twelve bytes", "stop", 3)),
        (chat("twelve bytes", usage={"completion_tokens": True}), Generation("twelve bytes", "stop", 3)),
        (chat("twelve bytes", usage=[1]), Generation("twelve bytes", "stop", 3)),
        (chat("a\ud800b"), Generation("a\ufffdb", "stop", 3)),
    ],
)
def test_answers_as_they_are_read(server: FaultServer, opened: Open, reply: object, expected: Generation):
    server.answer = sends(200, json.dumps(reply).encode())
    assert ask(opened(), stop=("\n", "never")) == [expected]
