"""Addresses that are refused, and a key that is nowhere to be seen."""

from __future__ import annotations

import logging
import traceback

import pytest
from endpoint_asking import Open, prompts
from fault_server import Answering, FaultServer, chat, closes, echoes_the_key, hangs, refuses, sends

from finetune_gate.evaluators.asking import Answer, Failed, Generation
from finetune_gate.evaluators.errors import ConfigurationError, ModelError
from finetune_gate.gate.endpoints import EndpointLimits, EndpointModel
from finetune_gate.gate.pins import Endpoint

KEY = "sk-canary-7f3a9c51e2"

REFUSED = [
    ("https://api.openai.com/v1", {}, "TEST_KEY is not set", "export TEST_KEY="),
    ("https://api.openai.com/v1", {"TEST_KEY": "  "}, "TEST_KEY is not set", "export TEST_KEY="),
    ("http://vllm.internal:8000/v1", {"TEST_KEY": KEY}, "would travel unencrypted", "name another variable"),
    ("http://10.0.0.8:8000/v1", {"TEST_KEY": KEY}, "would travel unencrypted", "name another variable"),
    ("http://127.0.0.1.evil.example/v1", {"TEST_KEY": KEY}, "would travel unencrypted", ""),
    ("https://user:secret@host/v1", {}, "base_url holds credentials", "environment variable"),
    ("http://169.254.169.254/latest", {}, "link-local", ""),
    ("http://[fe80::1]/v1", {}, "link-local", ""),
    ("ftp://host/v1", {}, "is no address of an API", "correct base_url"),
    ("file:///etc/passwd", {}, "is no address of an API", ""),
    ("host/v1", {}, "is no address of an API", ""),
    ("https://host:port/v1", {}, "is no address of an API", ""),
    ("https://[::1/v1", {}, "is no address of an API", ""),
    ("https://host/v1?key=1", {}, "is no address of an API", ""),
    ("https://api.openai.com/v1", {"TEST_KEY": KEY + "\r\nX-Evil: 1"}, "no header can carry", "set it again"),
    ("https://api.openai.com/v1", {"TEST_KEY": KEY + "é"}, "no header can carry", "set it again"),
]


@pytest.mark.parametrize(("base_url", "environ", "found", "way_out"), REFUSED)
def test_addresses_and_keys_that_are_refused(base_url, environ, found, way_out):
    with pytest.raises(ConfigurationError) as caught:
        EndpointModel(Endpoint(base_url, "m", key_variable="TEST_KEY"), environ=environ)
    said = str(caught.value)
    assert found in said
    assert way_out in said
    assert KEY not in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("base_url", "environ"),
    [
        ("https://api.openai.com/v1", {"TEST_KEY": KEY}),
        ("https://host/v1", {}),
        ("http://vllm.internal:8000/v1", {}),
        ("http://localhost:8000/v1", {"TEST_KEY": KEY}),
        ("http://[::1]:8000/v1", {"TEST_KEY": KEY}),
    ],
)
def test_addresses_and_keys_that_are_taken(base_url, environ):
    EndpointModel(Endpoint(base_url, "m", key_variable="TEST_KEY"), environ=environ)


@pytest.mark.parametrize(("environ", "sent"), [({}, "Bearer none"), ({"TEST_KEY": KEY}, f"Bearer {KEY}")])
def test_what_is_sent_and_nothing_more_of_the_environment(
    server: FaultServer, opened: Open, monkeypatch, environ: dict[str, str], sent: str
):
    monkeypatch.setenv("OPENAI_API_KEY", "another-key")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "admin-key")
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer ambient")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    opened(environ=environ).generate(prompts(1), lambda index, answer: None)
    assert server.headers[0]["Authorization"] == sent
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert not {"OpenAI-Organization", "OpenAI-Project"} & server.headers[0].keys()


def test_redirects_are_not_followed(server: FaultServer, opened: Open):
    with FaultServer() as other:
        server.answer = sends(302, b"", {"Location": other.base_url + "/chat/completions"})
        with pytest.raises(ModelError):
            opened(environ={"TEST_KEY": KEY}).generate(prompts(1), lambda index, answer: None)
        assert other.calls == 0


SAYING: list[Answering] = [
    echoes_the_key,
    refuses(400, f"bad {KEY}"),
    refuses(401, f"Incorrect API key provided: {KEY}"),
    refuses(404, f"no {KEY}"),
    refuses(500, f"oops {KEY}"),
    sends(200, {"error": {"message": KEY}}),
    sends(200, chat(None, refusal=f"not with {KEY}")),
    sends(302, b"", {"Location": f"https://evil.example/?{KEY}"}),
    sends(429, {"error": KEY}, {"X-Key": KEY}),
    closes,
    hangs,
]


@pytest.mark.parametrize("backend", ["aiohttp", "httpx"])
@pytest.mark.parametrize("saying", SAYING)
def test_the_key_is_nowhere_to_be_seen(
    server: FaultServer, opened: Open, monkeypatch, caplog, capfd, saying: Answering, backend: str
):
    if backend == "httpx":
        monkeypatch.setattr("finetune_gate.gate.endpoints.client.find_spec", lambda name: None)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.NOTSET)
    # another library's handler that is broken (its stream closed by an earlier test) would print what it was handling
    monkeypatch.setattr(logging, "raiseExceptions", False)
    server.answer = saying
    model = opened(environ={"TEST_KEY": KEY}, call_seconds=0.5)
    seen: list[str] = []
    answers: list[Answer] = []
    with caplog.at_level(logging.DEBUG):
        try:
            model.generate(prompts(3), lambda _, answer: answers.append(answer))
        except ModelError as error:
            seen += [str(error), repr(error), *traceback.format_exception(error)]
            cause = error.__context__
            while cause is not None:
                seen += [str(cause), repr(cause)]
                cause = cause.__context__
        model.release()
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"  # it was really used
    assert caplog.records
    seen += [repr(answers), repr(model), repr(vars(model)), repr(model.facts()), caplog.text, *capfd.readouterr()]
    seen += [repr(vars(record)) for record in caplog.records]
    for text in seen:
        assert KEY not in text
    if saying is echoes_the_key:
        assert answers == [Failed("the response ended for an unknown reason: '<key>'")] * 3


def test_a_key_that_is_said_back_does_not_get_into_an_answer(server: FaultServer, opened: Open):
    server.answer = sends(200, chat(f"your key is {KEY}"))
    answers: list[Answer] = []
    opened(environ={"TEST_KEY": KEY}).generate(prompts(1), lambda _, answer: answers.append(answer))
    assert answers == [Generation("your key is <key>", "stop", 3)]


def test_limits_are_part_of_no_address():
    requests = prompts(2)
    endpoint = Endpoint("http://127.0.0.1:1/v1", "m")
    some, others = EndpointModel(endpoint, environ={}), EndpointModel(endpoint, EndpointLimits(1, 1.0, 9), environ={})
    assert some.addresses(requests) == others.addresses(requests)
