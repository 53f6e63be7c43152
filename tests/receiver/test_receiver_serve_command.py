"""``finetune-gate serve`` as a process: what it refuses at the start, what it says, how it ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import pytest
from delivering import SECRET, Delivery, event
from serve_process import gate_file_in, line, serving


@pytest.fixture
def gate_file(tmp_path: Path) -> Path:
    return gate_file_in(tmp_path)


@pytest.mark.slow
def test_it_takes_deliveries_says_so_and_ends_on_a_signal(gate_file: Path, tmp_path: Path) -> None:
    registry = "http://127.0.0.1:1"
    with serving(str(gate_file), "--port", "0", "--tracking-uri", registry, home=tmp_path) as process:
        address = line(process, "Webhooks").split()[1]
        assert line(process, "Models") == "Models    support-bot"
        assert line(process, "Inbox") == f"Inbox     {tmp_path}/inbox.sqlite3"
        for name, status in (("support-bot", "accepted"), ("example_model", "ignored")):
            delivery = Delivery(event(name=name), at=int(time.time()))
            answer = httpx.post(address, content=delivery.body, headers=delivery.headers)
            assert (answer.status_code, answer.json()) == (202, {"status": status})
        assert "model_version.created: 'support-bot' version 7" in line(process, "accepted")
        assert "'support-bot', again in 1 s: MLflow at http://127.0.0.1:1" in line(process, "could not look at 'supp")
        assert httpx.get(address.replace("/mlflow", "/health")).json() == {"status": "ok", "waiting": 1}
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=20)[0]
        assert (process.returncode, time.monotonic() - begun < 10) == (0, True)
        assert SECRET.decode() not in rest
        assert "Traceback" not in rest


@pytest.mark.parametrize(
    ("arguments", "secret", "said"),
    [
        ([], b"", "FINETUNE_GATE_WEBHOOK_SECRET"),
        ([], b"short", "less than 16 characters"),
        (["missing.yaml"], SECRET, "missing.yaml"),
        (["--host", "203.0.113.7"], SECRET, "203.0.113.7 port 8300"),
        (["--host", "nohost.invalid"], SECRET, "nohost.invalid port 8300"),
        (["--inbox", "gate.yaml"], SECRET, "file is not a database"),
        (["--port", "70000"], SECRET, "70000"),
    ],
)
def test_what_it_cannot_serve_with_is_said_at_once(
    gate_file: Path, tmp_path: Path, arguments: list[str], secret: bytes, said: str
) -> None:
    with serving(str(gate_file), *arguments, home=tmp_path, secret=secret) as process:
        output = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert said in output


@pytest.mark.slow
def test_an_address_that_others_reach_is_told_to_need_tls(gate_file: Path, tmp_path: Path) -> None:
    with serving(str(gate_file), "--host", "0.0.0.0", "--port", "0", "--sweep-every", "0", home=tmp_path) as process:
        assert line(process, "TLS").startswith("Others can reach this address")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
