"""Structured output: what is sent for a schema, what a server that refuses it is asked instead, and addresses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from endpoint_asking import Open, generated
from fault_server import Answering, FaultServer, chat, completion, refuses, sends

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Generation
from finetune_gate.gate.endpoints import EndpointModel
from finetune_gate.gate.pins import Endpoint

SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "verdict": {"enum": ["A", "B", "tie"]}},
    "required": ["reason", "verdict"],
    "additionalProperties": False,
}
ASKED = GenerateRequest("Which is better? Answer as JSON.", 64, schema=json.dumps(SCHEMA))
STRICT = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}
LOOSE = {"type": "json_object"}
VERDICT = Generation('{"verdict": "A"}', "stop", 3)


def test_a_schema_goes_to_the_chat_api(server: FaultServer, opened: Open):
    server.answer = sends(200, chat(VERDICT.text))
    model = opened()
    plain = replace(ASKED, schema=None)
    assert generated(model, [ASKED, plain]) == [VERDICT, VERDICT]
    formats = [body.pop("response_format", None) for body in server.bodies]
    assert sorted(map(str, formats)) == sorted(map(str, [STRICT, None]))
    assert server.bodies[0] == server.bodies[1]


def test_the_completions_api_is_not_told(server: FaultServer, opened: Open):
    server.answer = sends(200, completion(VERDICT.text))
    assert generated(opened(api="completions"), [ASKED, replace(ASKED, schema=None)]) == [VERDICT, VERDICT]
    assert server.calls == 1
    assert "response_format" not in server.bodies[0]


# how servers say it
REFUSALS: list[tuple[str, Answering]] = [
    ("openai", refuses(400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported")),
    ("by name", refuses(400, "Invalid value", param="response_format")),
    ("must be one of", refuses(400, 'response_format type must be one of "text", but got something else')),
    ("unavailable", refuses(400, "This response_format type is unavailable now")),
    ("in words", refuses(400, "This model does not support response format `json_schema`")),
    ("guided", refuses(400, "guided decoding is not available in this build")),
    ("grammar", refuses(422, "Failed to compile the grammar")),
    ("fastapi", sends(422, {"detail": [{"loc": ["body", "response_format", "type"], "msg": "bad"}]})),
    ("the word json", refuses(400, "'messages' must contain the word 'json' to use 'json_object'")),
]


@pytest.mark.parametrize("refusal", [row[1] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_a_server_that_refuses_is_asked_for_less(server: FaultServer, opened: Open, refusal: Answering):
    async def answer(request, body):
        return await (refusal if "response_format" in body else sends(200, chat(VERDICT.text)))(request, body)

    server.answer = answer
    model = opened(max_in_flight=1)
    assert generated(model, [ASKED, replace(ASKED, prompt="another")]) == [VERDICT, VERDICT]
    assert [body.get("response_format") for body in server.bodies] == [STRICT, LOOSE, None, None]
    assert model.omitted == {"response_format"}
    assert model.usage().retries == 2


def test_a_server_that_takes_json_objects_gets_no_further_schema(server: FaultServer, opened: Open):
    async def answer(request, body):
        strict = body.get("response_format", {}).get("type") == "json_schema"
        unable = refuses(400, "unsupported response_format: json_schema")
        return await (unable if strict else sends(200, chat(VERDICT.text)))(request, body)

    server.answer = answer
    model = opened(max_in_flight=1)
    assert generated(model, [replace(ASKED, sample=at) for at in range(3)]) == [VERDICT] * 3
    assert [body["response_format"] for body in server.bodies] == [STRICT, LOOSE, LOOSE, LOOSE]
    assert model.omitted == frozenset()


def test_many_refusals_at_once_give_up_one_step_at_a_time(server: FaultServer, opened: Open):
    async def answer(request, body):
        strict = body.get("response_format", {}).get("type") == "json_schema"
        unable = refuses(400, "unsupported response_format: json_schema")
        return await (unable if strict else sends(200, chat(VERDICT.text)))(request, body)

    server.answer, server.latency = answer, 0.05
    model = opened()
    assert generated(model, [replace(ASKED, sample=at) for at in range(12)]) == [VERDICT] * 12
    assert model.omitted == frozenset()


@pytest.mark.parametrize(
    "refusal", [refuses(400, "context length exceeded"), refuses(400, "max_tokens is too large"), refuses(413, "long")]
)
def test_other_refusals_are_no_reason_to_ask_for_less(server: FaultServer, opened: Open, refusal: Answering):
    server.answer = refusal
    (answer,) = generated(opened(), [ASKED])
    assert isinstance(answer, Failed)
    assert server.calls == 1


def test_an_endless_refusal_ends(server: FaultServer, opened: Open):
    server.answer = refuses(400, "unsupported: response_format")
    assert generated(opened(), [ASKED]) == [Failed("HTTP 400: unsupported: response_format")]
    assert server.calls == 3


@pytest.mark.parametrize("schema", ["", "{", "[1]", "null", "[" * 30_000])
def test_a_schema_that_is_none_is_not_sent(server: FaultServer, opened: Open, schema: str):
    assert generated(opened(), [replace(ASKED, schema=schema)]) == [
        Failed("the schema of the request is no JSON object")
    ]
    assert server.calls == 0


def address(request: GenerateRequest, **fields: object) -> str:
    model = EndpointModel(Endpoint(**{"base_url": "http://127.0.0.1:1/v1", "model": "m", **fields}), environ={})
    return model.addresses([request])[0]


def test_a_schema_is_part_of_the_address_where_it_is_sent():
    plain = replace(ASKED, schema=None)
    drawn = replace(ASKED, temperature=0.7)
    found = [address(one) for one in (ASKED, plain, replace(ASKED, schema="{}"), drawn, replace(drawn, schema=None))]
    assert len(set(found)) == 5
    assert address(ASKED, api="completions") == address(plain, api="completions")


def test_addresses_without_a_schema_are_those_of_before():
    """Whoever changes one has every kept answer asked and paid for again."""
    greedy, drawn = GenerateRequest("Hi", 8), GenerateRequest("Hi", 8, temperature=0.5, seed=3)
    assert address(greedy) == "3dc247b7823610bf345a82aa58d5687e2b803d7a2f2894116bf99dd9b9f39f16"
    assert address(drawn, api="completions") == "f4d9741c8c0011635efe37f0178d0e706dcb41d7d93e726db98c9fca82dd9270"
