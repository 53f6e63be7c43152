"""The APIs of a gate file, on a server that says what the test wants."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
from doctor_servers import Saying, dead, saying, silent

from finetune_gate.gate.doctor import Finding, endpoint_findings, wanted_models
from finetune_gate.gate.gate_file import Gate, load_gate_file

KEY = "sk-hunter2"


@pytest.fixture
def server() -> Generator[Saying]:
    with saying() as one:
        yield one


def gate(folder: Path, url: str, key: str | None = "API_KEY", base: str = "vllm:/small") -> Gate:
    (folder / "h.jsonl").write_text(json.dumps({"id": "1", "text": "a"}) + "\n")
    entry = {"base_url": url} | ({"key": key} if key else {})
    content = {
        "model": "m", "base": base, "endpoints": {"vllm": entry}, "data": {"h": "h.jsonl"},
        "evaluators": [{"perplexity": {"data": "h"}}], "rules": [{"metric": "perplexity.bits_per_byte", "max": 9.0}],
    }  # fmt: skip
    (folder / "gate.yaml").write_text(json.dumps(content))
    return load_gate_file(folder / "gate.yaml")


def looked(gate: Gate, environ: Mapping[str, str], seconds: float = 5.0) -> Finding:
    (found,) = endpoint_findings(gate.file, "vllm", wanted_models(gate)["vllm"], seconds, environ)
    assert KEY not in str(found)
    return found


def test_an_endpoint_that_answers_and_knows_the_model(server: Saying, tmp_path: Path) -> None:
    server.says["/v1/models"] = (200, {"data": [{"id": "small"}, {"id": "large"}]})
    found = looked(gate(tmp_path, f"{server.url}/v1"), {"API_KEY": KEY})
    assert (found.state, found.found) == ("ok", f"{server.url}/v1 answers and lists small")
    ((method, path, headers),) = server.heard
    assert (method, path, headers["Authorization"]) == ("GET", "/v1/models", f"Bearer {KEY}")


@pytest.mark.parametrize(
    ("status", "body", "state", "said"),
    [
        (200, {"data": [{"id": "large\x1b[31m"}]}, "warning", "does not list 'small'"),
        (200, "<html>", "warning", "no list of models"),
        (200, {"data": {"id": 3}}, "warning", "no list of models"),
        (200, {"data": [{"id": 3}, None, []]}, "warning", "it lists none"),
        (401, KEY, "fault", "refuses this account (status 401)"),
        (307, "", "fault", "redirects"),
        (404, "", "warning", "/models with status 404"),
        (500, "", "warning", "/models with status 500"),
    ],
)
def test_what_a_server_may_say(
    status: int, body: object, state: str, said: str, server: Saying, tmp_path: Path
) -> None:
    server.says["/v1/models"] = (status, body)
    found = looked(gate(tmp_path, f"{server.url}/v1"), {"API_KEY": KEY})
    assert found.state == state
    assert said in found.found
    assert found.way_out
    assert "\x1b" not in found.found


def test_a_server_that_says_the_key_back_is_not_quoted(server: Saying, tmp_path: Path) -> None:
    server.says["/v1/models"] = (200, {"data": [{"id": f"model-{KEY}"}]})
    assert "<key>" in looked(gate(tmp_path, f"{server.url}/v1"), {"API_KEY": KEY}).found


def test_a_key_that_is_not_set(server: Saying, tmp_path: Path) -> None:
    server.says["/v1/models"] = (200, {"data": [{"id": "small"}]})
    one = gate(tmp_path, f"{server.url}/v1")
    found = looked(one, {})
    assert (found.state, found.found) == ("warning", f"{server.url}/v1 answers, and API_KEY is not set")
    assert "Authorization" not in server.heard[0][2]
    server.says["/v1/models"] = (401, "")
    assert looked(one, {}).state == "fault"
    assert looked(gate(tmp_path, f"{server.url}/v1", key=None), {}).way_out.startswith("name the key's variable")


def test_nobody_there_and_somebody_silent(tmp_path: Path) -> None:
    with dead() as url:
        found = looked(gate(tmp_path, f"{url}/v1"), {})
        assert (found.state, "Connection refused" in found.found) == ("fault", True)
    with silent() as url:
        found = looked(gate(tmp_path, f"{url}/v1"), {}, seconds=0.3)
        assert (found.state, "no answer within 0.3 s" in found.found) == ("fault", True)


def test_a_key_that_would_travel_unencrypted_is_not_sent(tmp_path: Path) -> None:
    found = looked(gate(tmp_path, "http://192.0.2.7:8000/v1"), {"API_KEY": KEY})
    assert (found.state, "unencrypted" in found.found) == ("fault", True)


def test_an_api_that_no_model_is_behind_is_no_fault(tmp_path: Path) -> None:
    with dead() as url:
        found = looked(gate(tmp_path, f"{url}/v1", base="models:/other/1"), {})
    assert (found.state, "names no model behind it" in found.found) == ("warning", True)


def test_openai_is_looked_at_where_it_is_asked(tmp_path: Path) -> None:
    one = gate(tmp_path, "http://127.0.0.1:9/v1", base="openai:/gpt")
    assert wanted_models(one) == {"vllm": [], "openai": ["gpt"]}
    (found,) = endpoint_findings(one.file, "openai", ["gpt"], 5.0, {})
    assert (found.state, "OPENAI_API_KEY is not set" in found.found) == ("fault", True)
