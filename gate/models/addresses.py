"""Addresses of models behind OpenAI-compatible APIs: ``openai:/gpt-4o-mini``, and ``NAME:/MODEL`` for each API that the
gate file declares under ``endpoints``.

    servers = Servers(gate.file.endpoints)
    servers.endpoint("openai:/gpt-4o-mini")    # Endpoint(base_url="https://api.openai.com/v1", model="gpt-4o-mini")
    servers.endpoint("models:/support-bot/3")  # None: an address of another kind

Where requests go, and the key with them, is said by the gate file or the environment alone: an address holds a name
that is declared there and a model's name, never a URL.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Protocol

from finetune_gate.evaluators.asking import Message
from finetune_gate.evaluators.errors import ConfigurationError, Problem, without_credentials

from ..pins import Endpoint
from .manifest import shown

OPENAI: Final = "openai"
OPENAI_HOST: Final = "api.openai.com"
OPENAI_URL: Final = f"https://{OPENAI_HOST}/v1"

_MAX_MODEL_NAME: Final = 300


class EndpointEntry(Protocol):
    """One entry of the gate file's ``endpoints``, as far as it says where requests go."""

    @property
    def base_url(self) -> str | None: ...
    @property
    def key(self) -> str | None: ...
    @property
    def api(self) -> Literal["chat", "completions"]: ...


class _OpenAI:
    """``openai:/NAME`` where the gate file does not say otherwise."""

    base_url = None
    key = None
    api: Literal["chat", "completions"] = "chat"


class Servers:
    """The APIs that an address can begin with: those the gate file declares, and ``openai``."""

    def __init__(self, declared: Mapping[str, EndpointEntry] | None = None, environ: Mapping[str, str] = os.environ):
        """Raises ConfigurationError for every ``base_url`` in ``declared`` that cannot be used. That names mean nothing
        else already is the gate file's to check."""
        self._declared = dict(declared or {})
        self._environ = environ
        problems = [
            Problem(f"endpoints.{shown(name)}.base_url", fault, "such as http://127.0.0.1:8000/v1", "correct it")
            for name, entry in self._declared.items()
            if entry.base_url is not None and (fault := url_fault(entry.base_url))
        ]
        if problems:
            raise ConfigurationError(*problems)

    def declared_urls(self) -> set[str]:
        """Where requests may go because the gate file says so."""
        return {self.base_url(name) for name in self._declared}

    def endpoint(self, text: str) -> Endpoint | None:
        """The model that ``text`` names; None where it is no address of an API. Raises ConfigurationError."""
        name = self._name(text)
        if name is None:
            return None
        model = text.removeprefix(f"{name}:/")
        fault = name_fault(model) if model != text and not model.startswith("/") else "that is not how it is written"
        if fault is not None:
            expected = f"{name}:/MODEL, with the model's name as the API spells it, such as {name}:/gpt-4o-mini"
            raise ConfigurationError(Problem(f"model {shown(repr(text))}", fault, expected))
        entry = self._entry(name)
        return Endpoint(self.base_url(name), model, entry.api, key_variable=self._key(entry))

    def openai(
        self,
        model: str,
        api: Literal["chat", "completions"],
        messages: tuple[Message, ...],
        root: Path,
        registered_digest: str,
    ) -> Endpoint:
        """The model that a registered version of MLflow's openai flavor names."""
        key = self._key(self._entry(OPENAI))
        return Endpoint(self.base_url(OPENAI), model, api, messages, key, root, registered_digest)

    def base_url(self, name: str) -> str:
        """Where requests for ``name:/...`` go. Raises ConfigurationError where ``OPENAI_BASE_URL`` cannot be used."""
        if url := self._entry(name).base_url:
            return without_slash(url)
        url = self._environ.get("OPENAI_BASE_URL", "").strip() or OPENAI_URL
        if fault := url_fault(url):
            where = "environment variable OPENAI_BASE_URL"
            raise ConfigurationError(Problem(where, fault, "such as https://api.openai.com/v1", f"endpoints.{name}"))
        return without_slash(url)

    @staticmethod
    def _key(entry: EndpointEntry) -> str:
        """The variable that is named. By default OpenAI's key, but never to an address that the gate file gives: who
        may change the file may not have the key."""
        theirs = entry.base_url is not None and urllib.parse.urlsplit(entry.base_url).hostname != OPENAI_HOST
        return entry.key or ("" if theirs else "OPENAI_API_KEY")

    def _entry(self, name: str) -> EndpointEntry:
        return self._declared.get(name) or _OpenAI()

    def _name(self, text: str) -> str | None:
        name = text.partition(":")[0]
        return name if ":" in text and (name in self._declared or name == OPENAI) else None


def url_fault(url: str) -> str | None:
    """Why ``url`` cannot be where an API is, None if it can. Says nothing of user and password in it."""
    if not url.isprintable() or " " in url:
        return "it holds spaces or control characters"
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no address"
    if parts.scheme.lower() not in ("http", "https"):
        return f"{shown(without_credentials(url))!r} does not begin with http:// or https://"
    if not host:
        return f"{shown(without_credentials(url))!r} names no server"
    if parts.query or parts.fragment:
        return "it has a query or a fragment, which may hold a secret and cannot be sent"
    return None


def without_slash(url: str) -> str:
    """``url`` in the one form that digests rest on: no user and password, scheme and server in small letters, no slash
    at its end."""
    parts = urllib.parse.urlsplit(url)
    server = parts.netloc.rpartition("@")[2].lower()
    return urllib.parse.urlunsplit((parts.scheme.lower(), server, parts.path.rstrip("/"), "", ""))


def name_fault(model: str) -> str | None:
    """Why ``model`` cannot be a model's name at an API, None if it can."""
    if not model.isprintable() or not model.strip() or model != model.strip():
        return "that is no model's name"
    return f"a name longer than {_MAX_MODEL_NAME} characters" if len(model) > _MAX_MODEL_NAME else None
