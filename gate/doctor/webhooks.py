"""The webhooks of an MLflow server: can they be listed, do they go out in the clear, is the gate's own one whole?"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from finetune_gate.evaluators.errors import RegistryError

from ..registry.mlflow_client import error_code
from ..registry.webhooks import EVENTS, NAME, PRIVATE_IPS, Webhook, webhooks
from .finding import Finding, ok, skipped, warning
from .registry_look import RegistryLook, counted

WEBHOOKS: Final = "mlflow webhooks"
OWN_WEBHOOK: Final = "mlflow webhook of the gate"


def webhook_findings(look: RegistryLook) -> Iterator[Finding]:
    try:
        found = look.asked(lambda: webhooks(look.registry.connection))
    except RegistryError as error:
        yield _not_listed(error)
        return
    yield from webhook_addresses(found)
    yield from own_webhooks(found)


def _not_listed(error: RegistryError) -> Finding:
    code, problem = error_code(error), error.problems[0]
    if code == "ENDPOINT_NOT_FOUND" or "knows no webhooks" in problem.found:
        return skipped(WEBHOOKS, "this server has no webhooks", "they came with MLflow 3.3")
    if "not allowed" in problem.found:
        return skipped(WEBHOOKS, "this account may not list them", "an administrator of the server may")
    return warning(WEBHOOKS, problem.found, problem.way_out or "see the server's log")


def webhook_addresses(webhooks: Sequence[Webhook]) -> Iterator[Finding]:
    """Those whose receivers MLflow does not reach by default. Only hosts are shown: addresses can hold secrets."""
    plain = [one for one in webhooks if one.url.startswith("http://")]
    if not plain:
        yield ok(WEBHOOKS, f"{counted(len(webhooks), 'webhook')} on this server")
    for one in plain:
        found = f"{one.name!r} goes to {_host(one)} without TLS: what it says can be read and changed on the way"
        yield warning(WEBHOOKS, found, "give the receiver https, or keep both on one machine")


def own_webhooks(known: Sequence[Webhook]) -> Iterator[Finding]:
    """Whether each receiver of ours, whose webhooks' names begin with `NAME`, is told of all that asks for a gate."""
    ours = [one for one in known if one.name.startswith(NAME)]
    if not ours:
        way_out = "`finetune-gate webhooks install URL` makes one; `finetune-gate watch` does without"
        yield skipped(OWN_WEBHOOK, f"there is none named {NAME!r}", way_out)
    for one in ours:
        way_out = "`finetune-gate webhooks install URL` sets it right; `finetune-gate watch` does without"
        missing = [event for event in EVENTS if event not in one.events]
        if one.status != "ACTIVE":
            found = f"{one.name!r} is {one.status.lower()}: nothing is sent to {_host(one)}"
            yield warning(OWN_WEBHOOK, found, way_out)
        elif missing:
            yield warning(OWN_WEBHOOK, f"{one.name!r} does not tell of {', '.join(missing)}", way_out)
        else:
            private = f"; the server must keep {PRIVATE_IPS}=true" if _is_private(_host(one)) else ""
            said = f"{one.name!r} tells {_host(one)} of new versions, aliases and tags; of stages MLflow tells nobody"
            yield ok(OWN_WEBHOOK, said + private)


def _host(webhook: Webhook) -> str:
    with suppress(ValueError):
        return urlsplit(webhook.url).hostname or "its receiver"
    return "its receiver"


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
