"""Addresses of models behind APIs, and what MLflow's openai flavor says, as data."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from ruamel.yaml import YAML

from finetune_gate.evaluators.asking import Message
from finetune_gate.evaluators.errors import ConfigurationError, ModelFilesError
from finetune_gate.gate.gate_file.settings import EndpointSettings
from finetune_gate.gate.models.addresses import Servers
from finetune_gate.gate.models.inspecting import inspect_model
from finetune_gate.gate.models.openai_flavor import fine_tuned_from
from finetune_gate.gate.models.opening import _limits
from finetune_gate.gate.pins import Endpoint

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Entry:
    """One entry of the gate file's ``endpoints``, before the gate file has looked at it."""

    base_url: str | None = None
    key: str = "OPENAI_API_KEY"
    api: Literal["chat", "completions"] = "chat"
    max_in_flight: int = 64
    call_seconds: float = 120.0
    response_bytes: int = 1 << 20


def at(text: str, environ: dict[str, str] | None = None, **declared: Entry) -> Endpoint | None:
    return Servers(declared, environ or {}).endpoint(text)


# -- addresses ------------------------------------------------------------------------------------------------------


def test_where_requests_go() -> None:
    local = Entry(base_url="HTTP://u:p@LocalHost:8000/v1/", key="K", api="completions")
    assert at("openai:/gpt-4o") == Endpoint(OPENAI, "gpt-4o")
    assert at("openai:/gpt-4o", {"OPENAI_BASE_URL": "http://x/v1/"}) == Endpoint("http://x/v1", "gpt-4o")
    assert at("openai:/a", {"OPENAI_BASE_URL": " "}) == Endpoint(OPENAI, "a")
    assert at("openai:/a", {"OPENAI_BASE_URL": "http://x/v1"}, openai=local) == Endpoint(
        "http://localhost:8000/v1", "a", "completions", key_variable="K"
    )
    assert at("vllm:/org/name:tag@1", vllm=local) == Endpoint(
        "http://localhost:8000/v1", "org/name:tag@1", "completions", key_variable="K"
    )
    assert at("other:/a", {"OPENAI_BASE_URL": "http://x/v1"}, other=Entry()) == Endpoint("http://x/v1", "a")


@pytest.mark.parametrize("text", ["models:/a/1", "runs:/0/x", "/srv/a", "gpt-4o", "vllm:/x", "openai", "OpenAI:/x", ""])
def test_other_addresses(text: str) -> None:
    assert at(text) is None


@pytest.mark.parametrize("text", ["openai:", "openai:/", "openai://x", "openai:x", "openai:/ x", "openai:/a\nb"])
def test_no_model_at_an_api(text: str) -> None:
    with pytest.raises(ConfigurationError, match="openai:/MODEL"):
        at(text)


@pytest.mark.parametrize(
    "url",
    ["ftp://x/v1", "x/v1", "http://", "http:///v1", "http://x:port/v1", "http://[::1/v1", "http://x/v1?key=hunter2"]
    + ["http://x/v1#hunter2", "http://x /v1", "http://x\n/v1", "", "file:///etc/passwd", "ftp://u:hunter2@x/v1"],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"endpoints\.local\.base_url") as caught:
        Servers({"local": Entry(url), "fine": Entry(), "other": Entry(url)}, {})
    assert "hunter2" not in str(caught.value)
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL") if url else nullcontext():
        Servers(environ={"OPENAI_BASE_URL": url}).endpoint("openai:/x")


def test_limits_are_by_address_and_the_tighter_hold() -> None:
    base = "http://localhost:8000/v1"
    limits = _limits(
        {
            "one": Entry(base_url=base, max_in_flight=4, call_seconds=9.0),
            "two": Entry(base_url=f"{base}/", max_in_flight=8, call_seconds=5.0),
            "three": Entry(base_url="http://localhost:9000/v1"),
        }
    )
    assert {url: (limit.max_in_flight, limit.call_seconds) for url, limit in limits.items()} == {
        base: (4, 5.0),
        "http://localhost:9000/v1": (64, 120.0),
    }


# -- the openai flavor ----------------------------------------------------------------------------------------------


def version(folder: Path, flavor: dict[str, Any] | None = None, **settings: Any) -> Path:
    yaml = YAML(typ="safe", pure=True)
    flavors = {"openai": flavor if flavor is not None else {"data": "model.yaml"}, "python_function": {}}
    yaml.dump({"flavors": flavors}, folder / "MLmodel")
    yaml.dump({"model": "gpt-4o", "task": "chat.completions"} | settings, folder / "model.yaml")
    return folder


def endpoint(folder: Path, **settings: Any) -> Endpoint:
    found = inspect_model(version(folder, **settings), servers=Servers(environ={}))
    assert isinstance(found, Endpoint)
    return found


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("messages", "in_front"),
    [
        (None, ()),
        ([], ()),
        ([turn("system", "Be brief.")], (Message("system", "Be brief."),)),
        ([turn("user", "Use {{json}}.")], (Message("user", "Use {json}."),)),
        ([turn("user", "{question}")], ()),
        ([turn("system", "A"), turn("user", "{q}")], (Message("system", "A"),)),
        (
            [turn("user", "2+2?"), turn("assistant", "4"), turn("user", "{q}")],
            (Message("user", "2+2?"), Message("assistant", "4")),
        ),
    ],
)
def test_messages_in_front(tmp_path: Path, messages: Any, in_front: tuple[Message, ...]) -> None:
    assert endpoint(tmp_path, messages=messages).messages == in_front


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"messages": [turn("user", "Joke about {animal}")]}, "have the variables animal"),
        ({"messages": [turn("system", "{a}"), turn("user", "{b}")]}, "have the variables a"),
        ({"messages": [turn("system", "{a}")]}, "have the variables a"),
        ({"messages": [turn("user", "{q!r}")]}, "have the variables q"),
        ({"messages": [turn("user", "{q.x}")]}, "have the variables"),
        ({"messages": [turn("{role}", "x")]}, "have the variables role"),
        ({"messages": [turn("user", "{")]}, "no template"),
        ({"messages": [turn("user", "{}")]}, "have the variables"),
        ({"messages": [turn("tool", "x")]}, "has the role 'tool'"),
        ({"messages": [turn("user", [{"type": "text", "text": "x"}])]}, "both text"),
        ({"messages": "hello"}, "no list"),
        ({"messages": ["hello"]}, "both text"),
        ({"task": "embeddings"}, "its task is 'embeddings'"),
        ({"task": "images"}, "its task is 'images'"),
        ({"task": None}, "its task is None"),
        ({"task": ["x"]}, "its task is"),
        ({"task": "completions", "prompt": "Say {what}"}, "the template"),
        ({"task": "completions", "prompt": "always this"}, "the template"),
        ({"task": "completions", "prompt": "{"}, "no template"),
        ({"model": None}, "model is None"),
        ({"model": "a\nb"}, "model is"),
        ({"model": "x" * 301}, "model is"),
        ({"tools": [], "response_format": {}, "base_url": "http://evil"}, "it sets base_url, response_format, tools"),
    ],
)
def test_what_would_be_asked_otherwise_than_served(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFilesError, match=message):
        endpoint(tmp_path, **settings)


def test_sampling_is_the_gates(tmp_path: Path) -> None:
    bare = endpoint(tmp_path)
    assert endpoint(tmp_path, temperature=0.3, max_tokens=5).digest == bare.digest
    assert endpoint(tmp_path, task="completions").api == "completions"


@pytest.mark.parametrize("flavor", [{}, {"data": "../x"}, {"data": "gone.yaml"}, {"data": 1}, {"data": ["model.yaml"]}])
def test_the_flavor_names_a_file_of_its_own(tmp_path: Path, flavor: dict[str, Any]) -> None:
    with pytest.raises(ModelFilesError, match="no file of this model"):
        inspect_model(version(tmp_path, flavor))


def test_code_beside_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "helpers.py").write_text("x = 1")
    with pytest.raises(ModelFilesError, match=r"helpers\.py"):
        endpoint(tmp_path)
    assert inspect_model(version(tmp_path), allow_files=["*.py"], servers=Servers(environ={})).digest


def test_the_base_in_a_name() -> None:
    names = {
        "ft:gpt-4o-mini-2024-07-18:acme:support:B7xY": "gpt-4o-mini-2024-07-18",
        "ft:gpt-3.5-turbo-0613:acme::id:ckpt-step-90": "gpt-3.5-turbo-0613",
        "gpt-4o": None,
        "ft:": None,
        "ft::x": None,
        "ft:gpt-4o": None,
        "davinci:ft-acme-2023": None,
    }
    assert {name: fine_tuned_from(name) for name in names} == names


@pytest.mark.parametrize(
    ("base_url", "key", "variable"),
    [
        (None, None, "OPENAI_API_KEY"),
        ("https://api.openai.com/v1", None, "OPENAI_API_KEY"),
        ("https://elsewhere.example/v1", None, ""),
        ("https://api.openai.com.elsewhere.example/v1", None, ""),
        ("https://elsewhere.example/v1", "THEIR_KEY", "THEIR_KEY"),
    ],
)
def test_openai_s_key_goes_to_no_address_that_a_gate_file_makes_up(
    base_url: str | None, key: str | None, variable: str
) -> None:
    declared = {"openai": EndpointSettings(base_url=base_url, key=key)}
    found = Servers(declared, environ={}).endpoint("openai:/gpt")
    assert found is not None
    assert found.key_variable == variable
