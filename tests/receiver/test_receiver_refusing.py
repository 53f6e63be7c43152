"""What the receiver takes, and what it refuses: one request at a time, then thousands of forged ones."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sqlite3
import string
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path

import httpx
import pytest
from delivering import NOW, OLD_SECRET, SECRET, Box, Delivery, box, event, in_a_thread, served

from finetune_gate.flows.receiver import server
from finetune_gate.flows.receiver.server import MAX_BODY

FORGED = 10_000
FORGED_OVER_HTTP = 400


@pytest.fixture
def found(tmp_path: Path) -> Generator[Box]:
    with box(tmp_path / "inbox") as made:
        yield made


def answers(found: Box, *requests: tuple[bytes, dict[str, str]]) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        async with found.client() as client:
            return [await client.post("/mlflow", content=body, headers=headers) for body, headers in requests]

    return in_a_thread(ask)


def answer(found: Box, delivery: Delivery, **headers: str) -> tuple[int, str]:
    (got,) = answers(found, (delivery.body, delivery.headers | headers))
    return got.status_code, next(iter(got.json().values()))


def test_a_signed_event_becomes_a_job_and_the_same_one_again_does_not(found: Box) -> None:
    delivery = Delivery(event())
    assert answer(found, delivery) == (202, "accepted")
    assert found.waiting == ["support-bot"]
    (job,) = found.receiver.inbox.waiting()
    for _ in range(3):
        assert answer(found, delivery) == (202, "known")
    assert found.receiver.inbox.waiting() == (job,)
    found.receiver.inbox.done(job)
    assert answer(found, delivery) == (202, "known")
    assert found.waiting == []
    assert len(found.woken) == 1


def test_a_waiting_job_for_the_same_model_is_enough(found: Box) -> None:
    for version in range(5):
        assert answer(found, Delivery(event(version=str(version)))) == (202, "accepted")
    assert answer(found, Delivery(event("model_version_alias.created", "sql-bot", alias="candidate")))[0] == 202
    assert found.waiting == ["support-bot", "sql-bot"]


def test_either_of_two_secrets_is_good_and_no_third(found: Box) -> None:
    assert answer(found, Delivery(event(), secret=SECRET)) == (202, "accepted")
    assert answer(found, Delivery(event(), secret=OLD_SECRET)) == (202, "accepted")
    assert answer(found, Delivery(event(), secret=SECRET + b" ")) == (401, "not signed")
    assert answer(found, Delivery(event(), secret=b"")) == (401, "not signed")


@pytest.mark.parametrize(("skew", "status"), [(-301, 401), (-300, 202), (0, 202), (300, 202), (301, 401)])
def test_a_delivery_is_good_for_five_minutes(found: Box, skew: int, status: int) -> None:
    assert answer(found, Delivery(event(), at=NOW + skew))[0] == status
    assert ("clocks" in found.said[0]) == (status == 401)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (event("model_version_tag.set", key="gate", value="requested"), 202, "accepted"),
        (event("model_version_alias.created", alias="candidate"), 202, "accepted"),
        (event("model_version_alias.created", alias="champion"), 202, "ignored"),
        (event("model_version_alias.created", "sql-bot", alias="champion"), 202, "accepted"),
        (event("model_version_tag.set", key="finetune_gate.decision", value="block"), 202, "ignored"),
        (event("model_version_tag.deleted", key="gate"), 202, "ignored"),
        (event("registered_model.created"), 202, "ignored"),
        (event("something.new", name=None), 202, "ignored"),
        (event(name="example_model", version="1"), 202, "ignored"),
        (event(name="finetune-gate.ledger.support-bot"), 202, "ignored"),
        (event(name="support-bot "), 202, "ignored"),
        (event(name="\ud800\x1b[31m"), 202, "ignored"),
        (event(version=7), 400, "not an event of MLflow's"),
        (event(name=None), 400, "not an event of MLflow's"),
        (event("model_version_alias.created"), 400, "not an event of MLflow's"),
        (b"", 400, "not an event of MLflow's"),
        (b"[]", 400, "not an event of MLflow's"),
        (b"null", 400, "not an event of MLflow's"),
        (b"\xff", 400, "not an event of MLflow's"),
        (b"[" * 500_000, 400, "not an event of MLflow's"),
        (event().replace(b'{"entity"', b'{"entity": "prompt", "entity"'), 400, "not an event of MLflow's"),
        (event(more=float("nan")), 400, "not an event of MLflow's"),
        (event(more=0).replace(b'"more": 0', b'"more": 1e999'), 400, "not an event of MLflow's"),
        (event(more=0).replace(b'"more": 0', b'"more": ' + b"9" * 5000), 400, "not an event of MLflow's"),
    ],
)
def test_what_a_signed_event_leads_to(found: Box, body: bytes, status: int, said: str) -> None:
    assert answer(found, Delivery(body)) == (status, said)
    assert len(found.waiting) == (said == "accepted")
    assert all(line.isprintable() for line in found.said)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": ""},
        {"Content-Encoding": "gzip"},
    ],
)
def test_only_plain_json_is_taken(found: Box, headers: dict[str, str]) -> None:
    assert answer(found, Delivery(event()), **headers)[0] == 415
    assert not found.waiting


def test_a_parameter_of_the_content_type_is_nothing_to_refuse(found: Box) -> None:
    assert answer(found, Delivery(event()), **{"Content-Type": "Application/JSON; charset=utf-8"})[0] == 202


@pytest.mark.parametrize("size", [MAX_BODY, MAX_BODY + 1])
def test_a_body_of_a_mebibyte_and_no_more(found: Box, size: int) -> None:
    body = event(description="")
    body = body[:-3] + b"x" * (size - len(body)) + body[-3:]
    assert answer(found, Delivery(body))[0] == (202 if size == MAX_BODY else 413)


def test_a_header_twice_is_no_header(found: Box) -> None:
    delivery = Delivery(event())

    async def ask(name: str) -> int:
        async with found.client() as client:
            headers = [*delivery.headers.items(), (name, delivery.headers[name])]
            return (await client.post("/mlflow", content=delivery.body, headers=headers)).status_code

    for name in delivery.headers:
        if name != "Content-Type":
            assert in_a_thread(partial(ask, name)) == 401


def forged(count: int, seed: int) -> Generator[tuple[bytes, dict[str, str]]]:
    """Requests that differ in one thing from one that is accepted; none is what MLflow has signed just now."""
    draw = random.Random(seed)
    text = string.ascii_letters + string.digits + "+/=-_.,"
    for number in range(count):
        model = draw.choice(["support-bot", "sql-bot"])
        delivery = Delivery(event(name=model, version=str(number)), id=str(draw.getrandbits(128)))
        headers, body = delivery.headers, delivery.body
        name = draw.choice(["X-MLflow-Delivery-Id", "X-MLflow-Timestamp", "X-MLflow-Signature"])
        value, at = headers[name], draw.randrange(len(headers[name]))
        match number % 12:
            case 0 | 1:
                headers[name] = value[:at] + draw.choice(text.replace(value[at], "")) + value[at + 1 :]
            case 2:
                headers[name] = value[:at] + value[at + 1 :]
            case 3:
                headers[name] = value[:at] + draw.choice(text) + value[at:]
                if headers[name] == value:
                    continue
            case 4:
                del headers[name]
            case 5 | 6:
                at = draw.randrange(len(body))
                body = body[:at] + bytes([body[at] ^ draw.randrange(1, 256)]) + body[at + 1 :]
            case 7:
                at = draw.randrange(len(body))
                body = draw.choice([body[:at], body + b" ", b" " + body, body[:at] + b" " + body[at:], b""])
            case 8:
                skew = draw.choice([-1, 1]) * draw.randrange(301, 10**6)
                headers = delivery.again(at=NOW + skew).headers
            case 9:
                headers = delivery.again(secret=draw.randbytes(draw.randrange(0, 40))).headers
            case 10:
                if draw.random() < 0.98:
                    headers["Content-Type"] = draw.choice(["text/json", "application/xml", "*/*", "", "json"])
                else:
                    body = body[:-3] + b"x" * MAX_BODY + body[-3:]
                    headers = delivery.again(body=body).headers
            case _:
                # what is signed, cut in other places
                day = headers["X-MLflow-Timestamp"]
                headers["X-MLflow-Delivery-Id"] += f".{day}" if draw.random() < 0.5 else day[:1]
                headers["X-MLflow-Timestamp"] = draw.choice([day, day[1:], "", f"+{day}", f"0{day}"])
        yield body, headers


def test_no_forged_request_is_accepted(found: Box) -> None:
    requests = list(forged(FORGED, seed=1))
    assert len(requests) > 0.99 * FORGED
    statuses = [got.status_code for got in answers(found, *requests)]
    assert set(statuses) <= {401, 413, 415}
    assert statuses.count(401) > 0.8 * FORGED
    assert {413, 415} <= set(statuses)
    assert found.waiting == []
    assert answer(found, Delivery(event())) == (202, "accepted")


def test_no_replayed_delivery_makes_a_second_job(found: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEPING_SECONDS", 60)  # a disk that others keep busy is no refusal here
    deliveries = [Delivery(event(version=str(number))) for number in range(50)]
    answers(found, *((one.body, one.headers) for one in deliveries))
    (job,) = found.receiver.inbox.waiting()
    found.receiver.inbox.done(job)
    again = answers(found, *((one.body, one.headers) for one in deliveries * 20))
    assert {(got.status_code, got.json()["status"]) for got in again} == {(202, "known")}
    assert found.waiting == []


def test_a_flood_of_refused_requests_is_said_in_one_line(found: Box) -> None:
    answers(found, *forged(2000, seed=2))
    assert len(found.said) == 1
    found.receiver.log.tell(now=True)
    assert len(found.said) == 2
    assert "not signed (" in found.said[1]


def test_no_secret_is_ever_said(found: Box) -> None:
    answer(found, Delivery(event()))
    answers(found, *forged(100, seed=3))
    found.receiver.log.tell(now=True)
    for text in (*found.said, repr(found.receiver)):
        assert SECRET.decode() not in text
        assert OLD_SECRET.decode() not in text


# over real HTTP


def test_no_forged_request_is_accepted_over_http(found: Box) -> None:
    with served(found.receiver) as address, httpx.Client(timeout=20) as client:
        for body, headers in forged(FORGED_OVER_HTTP, seed=4):
            try:
                got = client.post(f"{address}/mlflow", content=body, headers=headers)
            except httpx.WriteError:  # the answer to too large a body comes before all of it is sent
                assert len(body) > MAX_BODY
                continue
            assert got.status_code in {401, 413, 415}
        assert found.waiting == []
        delivery = Delivery(event())
        got = httpx.post(f"{address}/mlflow", content=delivery.body, headers=delivery.headers)
        assert (got.status_code, found.waiting) == (202, ["support-bot"])


def test_there_is_nothing_else_and_no_word_of_what_answers(found: Box) -> None:
    answer(found, Delivery(event()))
    with served(found.receiver) as address:
        for method, path, status in [
            ("GET", "/health", 200),
            ("POST", "/health", 405),
            ("GET", "/mlflow", 405),
            ("PUT", "/mlflow", 405),
            ("POST", "/", 404),
            ("POST", "/mlflow/", 404),
            ("GET", "/", 404),
            ("GET", "/docs", 404),
            ("GET", "/openapi.json", 404),
        ]:
            got = httpx.request(method, httpx.URL(address).copy_with(raw_path=path.encode()), timeout=20)
            assert got.status_code == status, (method, path)
            assert "server" not in got.headers
            assert "retry-after" not in got.headers
            if status == 200:
                assert got.json() == {"status": "ok", "waiting": 1}


def test_a_body_without_end_is_cut_off(found: Box) -> None:
    sent = 0
    with served(found.receiver) as address, socket.create_connection(("127.0.0.1", httpx.URL(address).port)) as raw:
        head = "".join(f"{name}: {value}\r\n" for name, value in Delivery(event()).headers.items())
        raw.sendall(f"POST /mlflow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode())
        with contextlib.suppress(ConnectionError):
            while sent < 64 * MAX_BODY:
                raw.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000
    assert sent < 16 * MAX_BODY  # what the buffers between us took besides


def test_nobody_holds_a_connection_open(found: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune_gate.flows.receiver.server._CONNECTION_SECONDS", 1.0)
    monkeypatch.setattr("finetune_gate.flows.receiver.server.READING_SECONDS", 0.5)
    head = "".join(f"{name}: {value}\r\n" for name, value in Delivery(event()).headers.items())
    with served(found.receiver) as address:
        port = httpx.URL(address).port
        for start in ("", "POST /mlflow HTTP/1.1\r\nHost:", f"POST /mlflow HTTP/1.1\r\nHost: x\r\n{head}"):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
                begun = time.monotonic()
                raw.sendall(start.encode())
                with contextlib.suppress(ConnectionError):
                    assert raw.recv(100) == b""
                assert time.monotonic() - begun < 3
        slow = f"POST /mlflow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n{head}\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(slow.encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 408 ")
        assert httpx.get(f"{address}/health").status_code == 200


def test_more_than_it_can_take_at_once_is_told_to_come_again(found: Box) -> None:
    with served(found.receiver) as address:
        port = httpx.URL(address).port
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(80)]
        try:
            until = time.monotonic() + 10
            status = 0
            while status != 503 and time.monotonic() < until:
                status = httpx.get(f"{address}/health").status_code
            assert status == 503
        finally:
            for one in held:
                one.close()
        while status != 200 and time.monotonic() < until:
            status = httpx.get(f"{address}/health").status_code
        assert status == 200


def test_an_inbox_that_is_locked_is_said_and_a_later_delivery_is_taken(found: Box) -> None:
    other = sqlite3.connect(found.receiver.inbox.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    delivery = Delivery(event())
    begun = time.monotonic()
    assert answer(found, delivery) == (503, "the inbox cannot be written")
    assert time.monotonic() - begun < 1
    assert "refused: 503 the inbox cannot be written (database is locked)" in found.said[0]
    other.execute("ROLLBACK")
    other.close()
    assert answer(found, delivery) == (202, "accepted")


def test_what_is_said_of_an_event_is_one_line_without_anything_that_acts(found: Box) -> None:
    told = json.loads(event("model_version_tag.set", key="x\x1b[31m\n\u202ered", value="y"))
    assert answer(found, Delivery(json.dumps(told).encode())) == (202, "accepted")
    (line,) = found.said
    assert line.isprintable()
    assert "x\\x1b[31m" in line.replace("\\\\", "\\")
