"""What is sent: bodies, refused parameters, addresses, estimates."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from endpoint_asking import Open, generated
from fault_server import Answering, FaultServer, completion, refuses, sends

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Generation, Message, ScoreRequest
from finetune_gate.gate.endpoints import EndpointModel
from finetune_gate.gate.endpoints.wording import sampling_seed
from finetune_gate.gate.models.protocol import Tokens
from finetune_gate.gate.pins import Endpoint

TALK = (Message("system", "Be brief."), Message("user", "2 + 2 ="))
ASKED = GenerateRequest(TALK, 8, ("\n", "", "END"))


def ask(model: EndpointModel, *requests: GenerateRequest) -> list[Answer]:
    return generated(model, [*requests])


def test_messages_go_to_the_chat_api_as_they_are(server: FaultServer, opened: Open):
    ask(opened(messages=(Message("system", "You sort tickets."),)), ASKED)
    assert server.paths == ["/v1/chat/completions"]
    assert server.bodies == [
        {
            "model": "tiny",
            "stream": False,
            "max_tokens": 8,
            "temperature": 0.0,
            "top_p": 1.0,
            "stop": ["\n", "END"],
            "messages": [
                {"role": "system", "content": "You sort tickets."},
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "2 + 2 ="},
            ],
        }
    ]


def test_a_text_is_one_user_message(server: FaultServer, opened: Open):
    ask(opened(), GenerateRequest("Hi there"))
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "Hi there"}]


@pytest.mark.parametrize(("prompt", "sent"), [("Hi", "Hi"), (TALK, "Be brief.\n\n2 + 2 =")])
def test_the_completions_api_gets_plain_text(server: FaultServer, opened: Open, prompt, sent):
    server.answer = sends(200, completion("fine"))
    assert ask(opened(api="completions"), GenerateRequest(prompt)) == [Generation("fine", "stop", 3)]
    assert server.paths == ["/v1/completions"]
    assert server.bodies[0]["prompt"] == sent


def test_at_most_four_stop_strings_are_sent_and_all_are_applied(server: FaultServer, opened: Open):
    server.answer = sends(200, {"choices": [{"message": {"content": "a b5 c"}, "finish_reason": "length"}]})
    assert ask(opened(), GenerateRequest("q", stop=("b1", "b2", "b3", "b4", "b5"))) == [Generation("a ", "stop", 2)]
    assert server.bodies[0]["stop"] == ["b1", "b2", "b3", "b4"]


def test_samples_have_seeds_of_their_own_and_greedy_answers_have_none(server: FaultServer, opened: Open):
    drawn = GenerateRequest("q", temperature=0.7, top_p=0.9, seed=3)
    ask(opened(), drawn, replace(drawn, sample=1), replace(drawn, seed=4), GenerateRequest("greedy", seed=3))
    seeds = {body.get("seed") for body in server.bodies}
    assert len(seeds) == 4
    assert None in seeds
    assert all(0 <= seed < 2**31 for seed in seeds if seed is not None)
    assert sampling_seed(drawn) == sampling_seed(replace(drawn, prompt="another"))


def picky(*refused: str, wanted: str = "") -> Answering:
    """Refuses one parameter a call, as OpenAI does."""

    async def answer(request, body):
        for name in refused:
            if name in body:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                return await refuses(400, message + wanted, param=name, code="unsupported_parameter")(request, body)
        return await sends()(request, body)

    return answer


def test_max_tokens_becomes_max_completion_tokens_where_that_is_wanted(server: FaultServer, opened: Open):
    server.answer = picky("max_tokens", wanted=" Use 'max_completion_tokens' instead.")
    model = opened(max_in_flight=1)
    assert (
        ask(model, *[GenerateRequest(f"{at}", max_new_tokens=9) for at in range(5)])
        == [Generation("fine", "stop", 3)] * 5
    )
    assert server.calls == 6  # remembered
    assert all(body["max_completion_tokens"] == 9 for body in server.bodies[1:])


def test_what_no_answer_depends_on_is_left_out_where_it_is_refused(server: FaultServer, opened: Open):
    server.answer = picky("seed", "stop", "temperature", "top_p")
    model = opened()
    before = dict(model.facts())
    drawn = GenerateRequest("q", temperature=1.0, stop=("x",))
    assert ask(model, drawn) == [Generation("fine", "stop", 3)]
    assert model.omitted == {"seed", "stop", "temperature", "top_p"}
    assert model.facts() == before
    assert ask(model, replace(drawn, sample=1)) == [Generation("fine", "stop", 3)]
    assert server.calls == 6
    assert model.usage().retries == 4


@pytest.mark.parametrize("said", ["temperature", "top_p"])
def test_what_was_asked_for_is_never_left_out(server: FaultServer, opened: Open, said: str):
    server.answer = picky(said)
    (answer,) = ask(opened(), GenerateRequest("q", temperature=0.5, top_p=0.9))
    assert answer == Failed(f"HTTP 400: Unsupported parameter: '{said}' is not supported with this model.")
    assert server.calls == 1


def test_a_default_that_was_left_out_comes_back_as_another_value(server: FaultServer, opened: Open):
    server.first = [refuses(400, "temperature: unsupported")]
    model = opened()
    ask(model, GenerateRequest("q", temperature=1.0))
    ask(model, GenerateRequest("q", temperature=0.5))
    assert [body.get("temperature") for body in server.bodies] == [1.0, None, 0.5]


@pytest.mark.parametrize(
    "refusal",
    [
        refuses(400, "'max_tokens' or 'max_completion_tokens' is too large: 5000"),
        refuses(400, "your seed money is gone"),
        refuses(400, "unsupported language"),
        sends(400, b"unknown parameter: frequency"),
    ],
)
def test_other_refusals_are_not_tried_again(server: FaultServer, opened: Open, refusal: Answering):
    server.answer = refusal
    (answer,) = ask(opened(), GenerateRequest("q", temperature=1.0))
    assert isinstance(answer, Failed)
    assert server.calls == 1


def test_a_server_that_refuses_everything_is_asked_a_few_times_only(server: FaultServer, opened: Open):
    server.answer = refuses(400, "unsupported: max_completion_tokens seed stop temperature top_p")
    (answer,) = ask(opened(), GenerateRequest("q", temperature=1.0, stop=("x",)))
    assert isinstance(answer, Failed)
    assert server.calls <= 6


@pytest.mark.parametrize("settings", [{"max_new_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}])
def test_senseless_requests_are_not_sent(server: FaultServer, opened: Open, settings):
    (answer,) = ask(opened(), replace(ASKED, **settings))
    assert isinstance(answer, Failed)
    assert server.calls == 0


def test_a_prompt_that_is_no_text_fails_alone(server: FaultServer, opened: Open):
    answers = ask(opened(), GenerateRequest("lone \ud800 surrogate"), GenerateRequest("fine"))
    assert answers == [
        Failed("the request cannot be sent: UnicodeEncodeError"),
        Generation("fine", "stop", 3),
    ]


def model_of(**fields) -> EndpointModel:
    return EndpointModel(Endpoint(**{"base_url": "http://127.0.0.1:1/v1", "model": "m", **fields}), environ={})


def test_addresses_differ_with_whatever_changes_an_answer():
    drawn = replace(ASKED, temperature=0.5)
    requests = [
        ASKED,
        replace(ASKED, prompt="2 + 2 ="),
        replace(ASKED, prompt=(TALK[1], TALK[0])),
        replace(ASKED, max_new_tokens=9),
        replace(ASKED, stop=()),
        replace(ASKED, sample=1),
        drawn,
        replace(drawn, temperature=0.6),
        replace(drawn, top_p=0.5),
        replace(drawn, sample=1),
        replace(drawn, seed=1),
        ScoreRequest("2 + 2 =", " 4"),
        ScoreRequest("2 + 2", "= 4"),
        ScoreRequest("2 + 2 =", "4"),
    ]
    models = [
        model_of(),
        model_of(model="n"),
        model_of(api="completions"),
        model_of(base_url="http://127.0.0.1:2/v1"),
        model_of(messages=(Message("system", "x"),)),
    ]
    addresses = [address for model in models for address in model.addresses(requests)]
    assert len(set(addresses)) == len(addresses) == 5 * 14
    assert all(re.fullmatch(r"[0-9a-f]{64}", address) for address in addresses)


def test_addresses_are_equal_where_the_model_reads_the_same():
    model = model_of()
    same = [
        (ASKED, replace(ASKED, seed=7, top_p=0.5)),
        (GenerateRequest("Hi"), GenerateRequest((Message("user", "Hi"),))),
        (replace(ASKED, stop=("a", "b")), replace(ASKED, stop=("b", "a"))),
        (ScoreRequest("A", "B", " "), ScoreRequest("A", " B")),
    ]
    for one, other in same:
        assert model.addresses([one]) == model.addresses([other])
    assert model.addresses([ASKED]) == model_of(key_variable="ANOTHER").addresses([ASKED])


def test_facts_are_json_and_the_same_each_time():
    assert json.dumps(dict(model_of().facts())) == json.dumps(dict(model_of().facts()))
    assert model_of().facts()["pinned_by"] == "name only"


def test_tokens_are_estimated_as_a_quarter_of_the_bytes(opened: Open, server: FaultServer):
    model = opened(api="completions")
    requests = [GenerateRequest("x" * 40, 7), GenerateRequest("ä" * 20, 5), ScoreRequest("x" * 30, "y" * 9, " ")]
    assert model.tokens(requests) == Tokens(10 + 10 + 10, 12, exact=False)
    assert server.calls == 0
