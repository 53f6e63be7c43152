"""Choices by an API: the likeliest first tokens of a chat, the scores of options with completions, and servers that
give neither."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from echoing import Echoing
from endpoint_asking import Open
from fault_server import Answering, Body, FaultServer, chat, completion, refuses, sends
from tiny_models import make_model, make_tokenizer, pins

from finetune_gate.evaluators.asking import Answer, Choice, ChooseRequest, Failed, GenerateRequest, Message
from finetune_gate.evaluators.errors import ModelError
from finetune_gate.gate.endpoints import EndpointModel
from finetune_gate.gate.endpoints.replies import NO_FIRST_TOKENS
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.protocol import Chooses, Tokens, Usage
from finetune_gate.gate.pins import Endpoint
from finetune_gate.gate.run.shards import ask as ask_shard

TALK = (Message("system", "You compare."), Message("user", "m or M?"))
ASKED = ChooseRequest(TALK, ("m", "M"))


def choose(model: Chooses, *requests: ChooseRequest) -> list[Answer]:
    """Answers in order; each request answered exactly once."""
    answers: dict[int, Answer] = {}

    def deliver(index: int, answer: Answer) -> None:
        assert index not in answers
        answers[index] = answer

    model.choose(requests, deliver)
    return [answers[at] for at in range(len(requests))]


def listing(*table: tuple[object, object], **more: object) -> Body:
    """A chat completion with the likeliest first tokens, and those of a second one that is not asked for."""
    listed = [{"token": token, "logprob": value, "bytes": None} for token, value in table]
    reply = chat("m", "length")
    choice = reply["choices"][0]  # pyright: ignore[reportIndexIssue] -- a body is any JSON
    choice["logprobs"] = {
        "content": [{"token": "m", "logprob": -0.1, "top_logprobs": listed}, {"token": "x", "top_logprobs": []}],
        "refusal": None,
        **more,
    }
    return reply


def of(logprobs: object, **choice: object) -> Body:
    reply = chat("m", "length")
    reply["choices"][0] |= {"logprobs": logprobs, **choice}  # pyright: ignore[reportIndexIssue] -- as above
    return reply


def test_one_token_is_asked_for_and_the_likeliest_are_listed(server: FaultServer, opened: Open):
    server.answer = sends(200, listing(("m", -0.25), ("M", -1.75)))
    model = opened(messages=(Message("system", "Be fair."),))
    assert choose(model, ASKED) == [Choice((-0.25, -1.75))]
    assert server.paths == ["/v1/chat/completions"]
    assert server.bodies == [
        {
            "model": "tiny",
            "stream": False,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": 20,
            "messages": [
                {"role": "system", "content": "Be fair."},
                {"role": "system", "content": "You compare."},
                {"role": "user", "content": "m or M?"},
            ],
        }
    ]
    assert model.usage() == Usage(1, 7, 3)


HALF = math.log(0.5)
QUARTER = math.log(0.25)
TAIL = [(f"t{at}", -7.0 - at) for at in range(3)]

READ = [
    ("both", [("m", HALF), ("M", QUARTER)], ("m", "M"), (HALF, QUARTER)),
    ("in the order of the options", [("m", HALF), ("M", QUARTER)], ("M", "m"), (QUARTER, HALF)),
    ("whitespace aside", [(" m", HALF), ("M\n", QUARTER)], ("m", " M"), (HALF, QUARTER)),
    ("several tokens of one option add up", [("m", QUARTER), (" m", QUARTER), ("M", -2)], ("m", "M"), (HALF, -2.0)),
    ("a token that is repeated counts once", [("m", HALF), ("M", -1.0), ("m", HALF)], ("m", "M"), (HALF, -1.0)),
    ("an unlisted option: the least listed", [("m", HALF), ("x", -1.0), *TAIL], ("m", "M"), (HALF, -9.0)),
    ("an unlisted option: no more than is left", [("m", math.log(0.9))], ("m", "M"), (math.log(0.9), math.log(0.1))),
    ("nothing is left", [("m", 0.0)], ("m", "M"), (0.0, math.log(1e-6))),
    ("the least of all", [("m", 0), ("x", -9999.0)], ("m", "M"), (0.0, -9999.0)),
    ("rounded", [("m", 1e-9)], ("m", "m"), (0.0, 0.0)),
    ("an option of several tokens", [("yes", HALF), ("no", QUARTER), *TAIL], ("yes", "not sure"), (HALF, -9.0)),
    ("hostile tokens", [("\x1b[31m", HALF), ("\ud800", -2.0), ("m", -3.0), *TAIL], ("m", "M"), (-3.0, -9.0)),
]


@pytest.mark.parametrize(("table", "options", "expected"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_what_is_listed_is_matched_with_the_options(server: FaultServer, opened: Open, table, options, expected):
    server.answer = sends(200, listing(*table))
    (answer,) = choose(opened(), replace(ASKED, options=options))
    assert isinstance(answer, Choice)
    assert answer.logprobs == pytest.approx(expected, abs=1e-12)
    assert server.calls == 1


GOOD = {"token": "m", "logprob": -0.1}

# what the server answers, what the reason says, and in how many calls
UNREAD: list[tuple[str, Answering, str, int]] = [
    (
        "none of the options",
        sends(200, listing(("Sure", -0.1), *TAIL)),
        "the 4 likeliest first tokens, of which 'Sure'",
        1,
    ),
    ("longer tokens", sends(200, listing(("m.", -0.1), ("Mm", -3))), "none of the options is among", 1),
    ("hostile tokens only", sends(200, listing(("\x1b[31m\u202e", -0.1))), "none of the options is among", 1),
    ("no log-probabilities", sends(), NO_FIRST_TOKENS, 1),
    ("null", sends(200, of(None)), NO_FIRST_TOKENS, 1),
    ("content null", sends(200, of({"content": None})), NO_FIRST_TOKENS, 1),
    ("no tokens", sends(200, of({"content": []})), NO_FIRST_TOKENS, 1),
    ("nothing listed", sends(200, of({"content": [{**GOOD, "top_logprobs": []}]})), NO_FIRST_TOKENS, 1),
    ("a list of the chosen only", sends(200, of({"content": [GOOD]})), NO_FIRST_TOKENS, 1),
    ("those of completions", sends(200, of({"tokens": ["m"], "token_logprobs": [-0.1]})), NO_FIRST_TOKENS, 1),
    ("a text", sends(200, of("m")), NO_FIRST_TOKENS, 1),
    ("NaN", sends(200, listing(("m", math.nan))), "gave nan as a log-probability", 1),
    ("infinite", sends(200, listing(("m", -0.1), ("M", -math.inf))), "gave -inf as a log-probability", 1),
    ("positive", sends(200, listing(("m", 0.5))), "gave 0.5 as a log-probability", 1),
    ("a probability", sends(200, listing(("x", 0.0), ("m", 0.97))), "gave 0.97 as a log-probability", 1),
    ("a text as number", sends(200, listing(("m", "-0.1"))), "gave '-0.1' as a log-probability", 1),
    ("a truth value", sends(200, listing(("m", True))), "gave True as a log-probability", 1),
    ("null as number", sends(200, listing(("m", None))), "gave None as a log-probability", 1),
    ("a huge number", sends(200, listing(("m", -(10**400)))), "as a log-probability", 1),
    ("more than certain", sends(200, listing(("m", -0.1), ("M", -0.1))), "add up to more than 1", 1),
    ("a token that is none", sends(200, listing((3, -0.1))), "without its log-probability", 3),
    ("an entry that is none", sends(200, of({"content": [{"top_logprobs": ["m"]}]})), "without its log-prob", 3),
    ("no message", sends(200, {"choices": [{"finish_reason": "stop"}]}), "no message", 3),
    ("no choices", sends(200, {"choices": []}), "no choices", 3),
    ("content filter", sends(200, of(None, finish_reason="content_filter")), "content filter", 1),
    ("refusal", sends(200, chat(None, refusal="I will not")), "the model refused: I will not", 1),
    ("tool call", sends(200, chat(None, "tool_calls", tool_calls=[{"id": "1"}])), "called a tool", 1),
    ("refused", refuses(400, "Unsupported parameter: 'logprobs' is not supported"), NO_FIRST_TOKENS, 1),
    ("refused by name", refuses(400, "not with this model", param="top_logprobs"), NO_FIRST_TOKENS, 1),
    ("refused with a 403", refuses(403, "You are not allowed to request logprobs from this model"), NO_FIRST_TOKENS, 1),
    ("refused with a 422", sends(422, {"detail": [{"loc": ["body", "logprobs"], "msg": "extra"}]}), NO_FIRST_TOKENS, 1),
    ("five are too many, too", refuses(400, "top_logprobs must be at most 1"), NO_FIRST_TOKENS, 2),
    ("another refusal", refuses(400, "context length exceeded"), "HTTP 400: context length exceeded", 1),
    ("falls over", refuses(500, "oops"), "after 6 attempts", 6),
]


@pytest.mark.parametrize(("fault", "reason", "calls"), [row[1:] for row in UNREAD], ids=[row[0] for row in UNREAD])
def test_what_is_no_choice_fails_with_the_reason(
    server: FaultServer, opened: Open, fault: Answering, reason: str, calls: int
):
    server.answer = fault
    (answer,) = choose(opened(), ASKED)
    assert isinstance(answer, Failed)
    assert reason in answer.reason
    assert len(answer.reason) < 500
    assert answer.reason.isprintable()
    assert server.calls == calls


def test_the_way_out_is_named():
    assert "verdict: structured" in NO_FIRST_TOKENS


def test_a_wrong_key_is_still_an_error(server: FaultServer, opened: Open):
    server.answer = refuses(403, "who are you?")
    with pytest.raises(ModelError, match="wants a key"):
        choose(opened(), ASKED)


def test_a_server_that_lists_fewer_is_asked_for_fewer(server: FaultServer, opened: Open):
    async def strict(request, body):
        if body["top_logprobs"] > 5:
            refusal = refuses(400, "Invalid value: top_logprobs must be less than or equal to 8.", param="top_logprobs")
            return await refusal(request, body)
        return await sends(200, listing(("m", HALF), ("M", QUARTER)))(request, body)

    server.answer = strict
    model = opened(max_in_flight=1)
    assert choose(model, ASKED, ChooseRequest("again", ("m",))) == [Choice((HALF, QUARTER)), Choice((HALF,))]
    assert [body["top_logprobs"] for body in server.bodies] == [20, 5, 5]


def test_max_tokens_has_the_name_that_was_learnt(server: FaultServer, opened: Open):
    server.first = [refuses(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")]
    server.answer = sends(200, listing(("m", HALF)))
    assert isinstance(choose(opened(), ASKED)[0], Choice)
    assert (server.bodies[1]["max_completion_tokens"], "max_tokens" in server.bodies[1]) == (1, False)


@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("options", [(), ("m", ""), (" ",)])
def test_senseless_options_are_not_sent(server: FaultServer, opened: Open, options, api):
    (answer,) = choose(opened(api=api), replace(ASKED, options=options))
    assert isinstance(answer, Failed)
    assert "option" in answer.reason
    assert server.calls == 0


def test_equal_questions_cost_one_call(server: FaultServer, opened: Open):
    server.answer = sends(200, listing(("m", HALF), ("M", QUARTER)))
    model = opened()
    twins = ChooseRequest("Hi", ("m", "M")), ChooseRequest((Message("user", "Hi"),), ("m", "M"))
    assert choose(model, *twins, ChooseRequest("Hi", ("M", "m"))) == [
        Choice((HALF, QUARTER)),
        Choice((HALF, QUARTER)),
        Choice((QUARTER, HALF)),
    ]
    assert server.calls == 2


def test_a_run_asks_a_chat_for_choices(server: FaultServer, opened: Open):
    server.answer = sends(200, listing(("m", HALF), ("M", QUARTER)))
    model = opened()
    assert model.abilities == {"generates", "chooses"}
    assert server.calls == 0
    assert ask_shard(model, [ASKED], lambda request, answer: None) == {ASKED: Choice((HALF, QUARTER))}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    make_model(folder)
    make_tokenizer(folder)
    return folder


def test_completions_choose_as_the_model_itself_does(server: FaultServer, opened: Open, llama: Path):
    server.answer = Echoing(llama)
    model = opened(api="completions")
    assert model.abilities == {"generates", "scores_tokens", "chooses"}
    requests = [ChooseRequest("label:", ("billing", "bug report", "praise")), ChooseRequest(TALK, ("m", "M"))]
    found = choose(model, *requests)
    assert server.calls == 1 + 5  # the question whether it scores, then one for each option
    with open_models(pins(llama, llama)) as models:
        local = models["candidate"]
        assert isinstance(local, Chooses)
        for one, expected in zip(found, choose(local, *requests), strict=True):
            assert isinstance(one, Choice)
            assert isinstance(expected, Choice)
            assert one.logprobs == pytest.approx(expected.logprobs, abs=1e-4)


def test_completions_without_an_echo_lack_the_ability(server: FaultServer, opened: Open):
    server.answer = sends(200, completion("text"))
    model = opened(api="completions")
    assert model.abilities == {"generates"}
    assert ask_shard(model, [ASKED], lambda request, answer: None) == {
        ASKED: Failed("the model lacks the ability 'chooses'")
    }
    assert isinstance(choose(model, ASKED)[0], Failed)


def model_of(**fields: object) -> EndpointModel:
    return EndpointModel(Endpoint(**{"base_url": "http://127.0.0.1:1/v1", "model": "m", **fields}), environ={})


def test_addresses_differ_with_prompt_options_and_model():
    requests = [
        ASKED,
        replace(ASKED, options=("M", "m")),
        replace(ASKED, options=("m",)),
        replace(ASKED, options=("m", "M", "x")),
        replace(ASKED, prompt="m or M?"),
        GenerateRequest(TALK),
    ]
    models = [model_of(), model_of(model="n"), model_of(api="completions"), model_of(messages=(Message("user", "x"),))]
    addresses = [address for model in models for address in model.addresses(requests)]
    assert len(set(addresses)) == len(addresses) == 4 * 6


def test_tokens_are_estimated(opened: Open, server: FaultServer):
    request = ChooseRequest("x" * 40, ("abc", "def"))
    assert opened().tokens([request]) == Tokens(10, 1, exact=False)
    assert opened(api="completions").tokens([request]) == Tokens(11 + 11, 0, exact=False)
    assert server.calls == 0
