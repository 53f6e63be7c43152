"""Prefect's API, asked without Prefect's own client.

reply = ask_prefect("http://127.0.0.1:4200/api", "/deployments/filter", 20.0, headers=headers, body={"limit": 20})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from urllib.parse import urlencode
from uuid import uuid4

from finetune_gate.gate.doctor import NoReply, Reply, ask


def ask_prefect(
    api: str, path: str, seconds: float, *, headers: Mapping[str, str], body: object = None
) -> Reply | NoReply:
    """`ask`, and once more with a CSRF token where the server wants one (PREFECT_SERVER_CSRF_PROTECTION_ENABLED).
    ``seconds`` is the deadline of each call."""
    reply = ask(f"{api}{path}", seconds, headers=headers, body=body)
    if body is None or not _wants_token(reply):
        return reply
    client = str(uuid4())
    token = _field(ask(f"{api}/csrf-token?{urlencode({'client': client})}", seconds, headers=headers), "token")
    if not token:
        return reply
    with_token = {**headers, "Prefect-Csrf-Client": client, "Prefect-Csrf-Token": token}
    return ask(f"{api}{path}", seconds, headers=with_token, body=body)


def _wants_token(reply: Reply | NoReply) -> bool:
    return isinstance(reply, Reply) and reply.status == 403 and "CSRF" in _field(reply, "detail")


def _field(reply: Reply | NoReply, name: str) -> str:
    body = reply.json() if isinstance(reply, Reply) else None
    value = cast("dict[str, object]", body).get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else ""
