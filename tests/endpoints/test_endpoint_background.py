"""The background thread: who is called where, what an interrupt leaves, and how it all ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from endpoint_asking import Open, prompts
from fault_server import FaultServer, hangs, sends

from finetune_gate.evaluators.asking import Answer, GenerateRequest
from finetune_gate.gate.endpoints import EndpointModel
from finetune_gate.gate.models.fake import FakeModel
from finetune_gate.gate.models.protocol import Model

_SATISFIES: list[type[Model]] = [FakeModel, EndpointModel]  # a type checker reads it; the test below runs it


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("finetune-gate")]


def test_both_kinds_of_model_have_everything_the_protocol_has(opened: Open):
    for model in (FakeModel({}), opened()):
        for name in (name for name in vars(Model) if not name.startswith("_")):
            assert hasattr(model, name), (type(model), name)
    assert opened().batched is False


def test_answers_are_delivered_in_the_callers_thread_each_once(server: FaultServer, opened: Open):
    seen: list[tuple[int, int]] = []
    opened().generate(prompts(200), lambda index, _: seen.append((index, threading.get_ident())))
    assert sorted(index for index, _ in seen) == list(range(200))
    assert {thread for _, thread in seen} == {threading.get_ident()}


def test_what_reads_the_same_is_asked_once_and_delivered_to_all(server: FaultServer, opened: Open):
    requests = [GenerateRequest("same", seed=at) for at in range(5)] + [GenerateRequest("same", sample=1)]
    answers: dict[int, Answer] = {}
    opened().generate(requests, answers.__setitem__)
    assert len(answers) == 6
    assert server.calls == 2


def test_asking_nothing_opens_nothing(opened: Open):
    model = opened()
    model.generate([], lambda index, answer: None)
    model.release()
    assert threads() == []


def test_models_share_one_thread_and_the_last_release_ends_it(server: FaultServer, opened: Open):
    first, second = opened(), opened(model="other")
    for model in (first, second, first):
        model.generate(prompts(3), lambda index, answer: None)
    assert threads() == ["finetune-gate endpoints"]
    assert all(thread.daemon for thread in threading.enumerate() if thread.name in threads())
    first.release()
    assert threads() == ["finetune-gate endpoints"]
    second.release()
    assert threads() == []
    second.release()
    first.generate(prompts(3), lambda index, answer: None)  # a later question opens it again
    assert threads() == ["finetune-gate endpoints"]


def test_several_threads_may_ask_at_once(server: FaultServer, opened: Open):
    server.latency = 0.01
    model, found = opened(), list[dict[int, Answer]]()

    def ask() -> None:
        answers: dict[int, Answer] = {}
        model.generate(prompts(50), answers.__setitem__)
        found.append(answers)

    workers = [threading.Thread(target=ask) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [len(answers) for answers in found] == [50] * 4


def test_a_delivery_that_fails_ends_the_asking(server: FaultServer, opened: Open):
    server.latency = 0.02

    def deliver(index: int, answer: Answer) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        opened().generate(prompts(500), deliver)
    deadline = time.monotonic() + 10
    time.sleep(0.3)
    while server.now and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.now == 0
    assert server.calls < 50


def test_an_interrupt_stops_promptly_and_leaves_what_was_delivered(server: FaultServer, opened: Open):
    model, delivered = opened(call_seconds=60), list[int]()
    server.first = [sends()] * 20
    server.answer = hangs
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        model.generate(prompts(100), lambda index, _: delivered.append(index))
    assert time.monotonic() - begun < 4
    assert len(delivered) == 20
    server.answer = sends()
    answers: dict[int, Answer] = {}
    model.generate(prompts(5), answers.__setitem__)  # every place at the turnstile was given back
    assert len(answers) == 5


PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.WARNING)
from finetune_gate.evaluators.asking import GenerateRequest
from finetune_gate.gate.endpoints import EndpointModel
from finetune_gate.gate.pins import Endpoint
model = EndpointModel(Endpoint(sys.argv[1], "tiny", key_variable="NONE"), environ={})
requests = [GenerateRequest(f"q {at}") for at in range(20)]
model.generate(requests, lambda index, answer: None)
"""

ENDINGS = {
    "no release": "",
    "release": "model.release()",
    "an exception": "raise SystemExit(0)",
    "a fork": (
        "import os, warnings; warnings.simplefilter('ignore')\n"
        "child = os.fork()\n"
        "answers = []\n"
        "model.generate(requests, lambda index, answer: answers.append(answer))\n"
        "assert len(answers) == 20\n"
        "if child: assert os.waitpid(child, 0)[1] == 0"
    ),
    "interrupted while asking": "import _thread, threading; threading.Timer(0.5, _thread.interrupt_main).start()\n"
    "try: model.generate([GenerateRequest(f'slow {at}') for at in range(99999)], lambda index, answer: None)\n"
    "except KeyboardInterrupt: pass",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_ends_without_a_word(server: FaultServer, ending: str):
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", PROGRAM + ENDINGS[ending], server.base_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_killed_process_leaves_nothing_waiting(server: FaultServer):
    server.answer = hangs
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, server.base_url])
    deadline = time.monotonic() + 30
    while not server.now and time.monotonic() < deadline:
        time.sleep(0.05)
    child.kill()
    assert child.wait(10) == -signal.SIGKILL
    while server.now and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.now == 0
