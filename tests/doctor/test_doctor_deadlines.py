"""Whatever a server does, the doctor is done in time, and no check spoils another."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

import pytest
from doctor_servers import dead, saying, silent

from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.gate.doctor import Check, NoReply, Reply, ask, examine, is_loopback, ok, within


def timed(work: Callable[[], object]) -> tuple[object, float]:
    start = time.monotonic()
    return work(), time.monotonic() - start


def test_a_silent_server_is_left_at_the_deadline() -> None:
    with silent() as url:
        reply, took = timed(lambda: ask(url, 0.5))
    assert reply == NoReply("no answer within 0.5 s")
    assert took < 3


def test_a_server_that_trickles_is_left_at_the_deadline() -> None:
    """Every read gets a byte in time; only the whole takes for ever."""
    over = threading.Event()

    def trickle(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        thread = threading.Thread(target=trickle, args=(listening,), daemon=True)
        thread.start()
        reply, took = timed(lambda: ask(f"http://127.0.0.1:{listening.getsockname()[1]}", 0.6))
        over.set()
        thread.join(5)
    assert reply == NoReply("no answer within 0.6 s")
    assert took < 3


def test_a_dead_port_and_a_name_that_nobody_has() -> None:
    with dead() as url:
        assert ask(url, 5) == NoReply("no answer (Connection refused)")
    reply = ask("http://user:hunter2@nobody.invalid/v1", 5)
    assert isinstance(reply, NoReply)
    assert "hunter2" not in reply.reason


def test_redirects_are_not_followed_and_long_replies_are_cut() -> None:
    with saying() as server:
        server.says = {"/away": (302, ""), "/long": (200, "x" * (5 << 20))}
        assert ask(f"{server.url}/away", 5) == Reply(302, "")
        long = ask(f"{server.url}/long", 20)
    assert isinstance(long, Reply)
    assert len(long.text) == 4 << 20


def test_within_hands_on_what_is_raised() -> None:
    with pytest.raises(KeyError, match="gone"):
        within(5, lambda: {}["gone"])
    with pytest.raises(TimeoutError):
        within(0.05, threading.Event().wait)


def test_checks_run_at_once_and_keep_their_order() -> None:
    meeting = threading.Barrier(3)

    def meets(name: str) -> Check:
        return Check(name, lambda: [ok(name, str(meeting.wait(10) in range(3)))])

    assert [(one.name, one.found) for one in examine([meets("a"), meets("b"), meets("c")])] == [
        ("a", "True"), ("b", "True"), ("c", "True"),
    ]  # fmt: skip


def test_a_check_that_breaks_is_a_finding() -> None:
    def refuses() -> list[object]:
        raise ConfigurationError(Problem("here", "wrong", way_out="right it"), Problem("there", "wrong too"))

    found = examine([
        Check("bug", lambda: [][0]), Check("refused", refuses), Check("fine", lambda: [ok("fine", os.name)])
    ])  # fmt: skip
    assert [(one.name, one.state) for one in found] == [
        ("bug", "warning"), ("refused", "fault"), ("refused", "fault"), ("fine", "ok"),
    ]  # fmt: skip
    assert "IndexError" in found[0].found
    assert (found[1].found, found[1].way_out) == ("here: wrong", "right it")


def test_findings_hold_no_credentials_and_no_control_characters() -> None:
    found = ok("x", "at http://ana:hunter2@host/path \x1b[31mred\u202e")
    assert found.found == "at http://host/path \\x1b[31mred\\u202e"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:5000", True), ("http://localhost/x", True), ("http://[::1]:1", True),
        ("http://10.0.0.1", False), ("http://localhost.evil.example", False), ("http://[bad", False), ("", False),
    ],
)  # fmt: skip
def test_what_is_on_this_machine(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
