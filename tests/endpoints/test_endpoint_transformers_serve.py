"""A server that this project did not write: ``transformers serve`` on a tiny model, beside the same model in here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
from tiny_models import CHAT, CORPUS, ask, make_model, make_tokenizer, pins

from finetune_gate.evaluators.asking import GenerateRequest, Generation, Message
from finetune_gate.gate.endpoints import EndpointLimits, EndpointModel
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "serve.txt"
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder), "--device", "cpu"]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (
        log.open("wb") as said,
        subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=said, stderr=said, env=environ
        ) as process,
    ):
        try:
            _wait_until_up(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"transformers serve did not start:\n{log.read_text()[-3000:]}")


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_greedy_answers_equal_those_of_the_model_in_this_process(folder: Path, base_url: str, api):
    requests = [
        GenerateRequest((Message("user", text),) if api == "chat" else text, max_new_tokens=12) for text in BEGINNINGS
    ]
    stopped = [replace(request, stop=("e", "l")) for request in requests]
    model = EndpointModel(Endpoint(base_url, str(folder), api), EndpointLimits(8), environ={})
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
    assert abilities == {"generates"}  # it ignores echo and logprobs
    # not compared with the model here: transformers' stop criterion also ends on some tokens without the stop string
    assert len(cut) == len(found)
    for one, whole in zip(cut, found, strict=True):
        assert whole.text.startswith(one.text)
        assert not {"e", "l"} & set(one.text)
