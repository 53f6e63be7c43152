"""A server that this project did not write: ``transformers serve`` on a tiny model, beside the same model in here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
from served import serving
from tiny_models import CHAT, CORPUS, ask, make_model, make_tokenizer, pins

from finetune_gate.evaluators.asking import Answer, ChooseRequest, Failed, GenerateRequest, Generation, Message
from finetune_gate.gate.endpoints import EndpointLimits, EndpointModel
from finetune_gate.gate.endpoints.replies import NO_FIRST_TOKENS
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.protocol import Usage
from finetune_gate.gate.pins import Endpoint

pytestmark = pytest.mark.slow

BEGINNINGS = list(dict.fromkeys(text[:cut] for text in CORPUS for cut in (1, 5, 20)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    make_model(folder)
    make_tokenizer(folder, chat=CHAT)
    return folder


@pytest.fixture(scope="module")
def base_url(folder: Path, tmp_path_factory) -> Generator[str]:
    with serving(folder, tmp_path_factory.mktemp("log") / "serve.txt") as server:
        yield server.base_url


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_greedy_answers_equal_those_of_the_model_in_this_process(folder: Path, base_url: str, api):
    requests = [
        GenerateRequest((Message("user", text),) if api == "chat" else text, max_new_tokens=12) for text in BEGINNINGS
    ]
    stopped = [replace(request, stop=("e", "l")) for request in requests]
    model = EndpointModel(Endpoint(base_url, folder.name, api), EndpointLimits(8), environ={})
    try:
        found = [one for one in ask(model, [*requests]) if isinstance(one, Generation)]
        usage, abilities = model.usage(), model.abilities
        cut = [one for one in ask(model, [*stopped]) if isinstance(one, Generation)]
    finally:
        model.release()
    with open_models(pins(folder, folder)) as models:
        assert found == ask(models["candidate"], [*requests])
    assert usage == Usage(len(requests), usage.prompt_tokens, sum(one.tokens for one in found))
    assert usage.prompt_tokens > len(requests)
    assert abilities == {"generates", *(["chooses"] if api == "chat" else [])}  # it ignores echo and logprobs
    # not compared with the model here: transformers' stop criterion also ends on some tokens without the stop string
    assert len(cut) == len(found)
    for one, whole in zip(cut, found, strict=True):
        assert whole.text.startswith(one.text)
        assert not {"e", "l"} & set(one.text)


def test_what_it_does_not_know_it_ignores(folder: Path, base_url: str):
    plain = GenerateRequest((Message("user", "Hi"),), max_new_tokens=8)
    model = EndpointModel(Endpoint(base_url, folder.name), EndpointLimits(1), environ={})
    choices: dict[int, Answer] = {}
    try:
        structured, free = ask(model, [replace(plain, schema='{"type": "object"}'), plain])
        model.choose([ChooseRequest(plain.prompt, ("m", "M"))], choices.__setitem__)
    finally:
        model.release()
    assert isinstance(structured, Generation)
    assert structured == free
    assert choices == {0: Failed(NO_FIRST_TOKENS)}
