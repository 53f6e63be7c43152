"""The rating server over real HTTP: what it gives, what it takes, and whom it refuses."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from serving import Running, running
from sheets import BETRAYING, desk_in

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.flows.rating import serve
from finetune_gate.flows.rating.page import SCRIPTS, packaged
from finetune_gate.gate.rating import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_in(tmp_path)


@pytest.fixture
def server(desk: Desk) -> Generator[Running]:
    with running(desk) as found:
        yield found


def rating(desk: Desk, **more: object) -> str:
    return json.dumps({"id": desk.sheet.items[0].id, "choice": "left", **more})


def test_a_rating_is_on_disk_before_it_is_answered(server: Running, desk: Desk) -> None:
    answer = server.request("POST", "/ratings", content=rating(desk, left_scores={"accuracy": 4}, notes=" n "))
    assert (answer.status_code, answer.json()) == (200, {"kept": True})
    (kept,) = desk.file.read()
    assert (kept.rater, kept.choice, kept.left_scores, kept.notes) == ("ana", "left", {"accuracy": 4}, "n")
    sheet = server.request("GET", "/sheet").json()
    assert [item["choice"] for item in sheet["items"]] == ["left", None, None, None]


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({"X-Rating-Key": "wrong"}, 401, "key"),
        ({"X-Rating-Key": ""}, 401, "key"),
        ({"Origin": "http://127.0.0.1:3000"}, 403, "other pages"),
        ({"Origin": "https://evil.example"}, 403, "other pages"),
        ({"Origin": "null"}, 403, "other pages"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "other pages"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "other pages"),
        ({"Host": "evil.example"}, 421, "127.0.0.1"),
        ({"Host": "evil.example:80"}, 421, "127.0.0.1"),
        ({"Host": "127.0.0.1.evil.example:80"}, 421, "127.0.0.1"),
        ({"Content-Type": "text/plain"}, 415, "application/json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
    ],
)
def test_others_are_refused(server: Running, desk: Desk, headers: dict[str, str], status: int, error: str) -> None:
    for method, path in (("GET", "/sheet"), ("POST", "/ratings")):
        if status == 415 and method == "GET":
            continue
        answer = server.request(method, path, headers, content=rating(desk) if method == "POST" else None)
        assert (answer.status_code, error in answer.json()["error"]) == (status, True), answer.text
    assert not desk.file.path.exists()


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        ("{", 400, "not JSON"),
        ("\udcff".encode("utf-8", "surrogateescape"), 400, "not JSON"),
        ("[" * 60_000, 400, "not JSON"),
        ("[1]", 422, "object"),
        ('{"id": "nobody", "choice": "left"}', 422, "no such pair"),
        ('{"id": ["a"]}', 422, "no such pair"),
        ('{"id": ID}', 422, "says nothing"),
        ('{"id": ID, "choice": "LEFTMOST"}', 422, "left, tie or right"),
        ('{"id": ID, "choice": "left", "left_scores": {"accuracy": 6}}', 422, "1 to 5"),
        ('{"id": ID, "left_scores": {"other": 3}}', 422, "one of accuracy, plain_words"),
        ('{"id": ID, "notes": "' + "n" * 5000 + '"}', 422, "at most 4,000"),
        ('{"id": ID, "notes": "' + "n" * 70_000 + '"}', 413, "bytes"),
    ],
)
def test_what_is_no_rating_is_refused_with_a_reason(
    server: Running, desk: Desk, content: str | bytes, status: int, error: str
) -> None:
    if isinstance(content, str):
        content = content.replace("ID", json.dumps(desk.sheet.items[0].id)).encode()
    answer = server.request("POST", "/ratings", content=content)
    assert (answer.status_code, error in answer.json()["error"]) == (status, True), answer.text
    assert not desk.file.path.exists()


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/ratings"), ("POST", "/"), ("GET", "/../etc/passwd"), ("PUT", "/sheet")]
)
def test_there_is_nothing_else(server: Running, method: str, path: str) -> None:
    assert server.request(method, path).status_code in (404, 405)


def test_every_answer_is_shut_in(server: Running) -> None:
    for answer in (server.request("GET", "/"), server.request("GET", "/sheet", {"X-Rating-Key": "no"})):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_neither_page_nor_data_tell_of_the_sides(server: Running) -> None:
    for answer in (server.request("GET", "/"), server.request("GET", "/sheet")):
        text = answer.text
        for own in ("page.css", *SCRIPTS):
            text = text.replace(packaged(own), "")
        assert not [word for word in (*BETRAYING, "row-1") if word in text]
    assert server.key not in server.request("GET", "/").text


def test_a_file_that_cannot_be_written_is_said_and_nothing_claimed(server: Running, desk: Desk) -> None:
    desk.file.path.mkdir()
    answer = server.request("POST", "/ratings", content=rating(desk))
    assert (answer.status_code, "ratings.jsonl" in answer.json()["error"]) == (503, True)


def test_a_body_that_does_not_come_is_not_waited_for(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune_gate.flows.rating.server.BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        head = f"POST /ratings HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-Rating-Key: {server.key}\r\n"
        wire.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{".encode())
        assert wire.recv(100).startswith(b"HTTP/1.1 408 ")


def test_it_listens_on_this_machine_alone_and_ends_when_nobody_rates(desk: Desk) -> None:
    addresses: list[str] = []
    thread = threading.Thread(target=lambda: serve(desk, port=0, idle_seconds=1.0, ready=addresses.append), daemon=True)
    begun = time.monotonic()
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert time.monotonic() - begun < 10
    assert addresses[0].startswith("http://127.0.0.1:")
    assert len(addresses[0].partition("#")[2]) >= 32


def test_a_port_that_is_taken_is_said(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigurationError, match="--port"):
        serve(desk, port=taken.getsockname()[1], idle_seconds=1, ready=print)
