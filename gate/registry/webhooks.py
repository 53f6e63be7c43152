"""The webhook by which an MLflow server tells a receiver what happens in its registry.

    installed = install(registry.connection, "https://gate.example.com/mlflow", secret)
    tried = send_test(registry.connection, installed.webhook)
    tried.arrived, tried.said, tried.way_out

MLflow says little of why it refuses a webhook, and nothing of why one does not work later. What its refusals mean is
told here, with the setting of the server that is missing. Messages are those of MLflow 3.17.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from finetune_gate.evaluators.errors import ConfigurationError, Problem, RegistryError

from .mlflow_client import Connection, NotInRegistry, error_code, mlflow_settings, plain
from .mlflow_types import WebhookEntity

NAME: Final = "finetune-gate"
PATH: Final = "/mlflow"
"""Where a receiver takes deliveries."""

EVENTS: Final = ("model_version.created", "model_version_alias.created", "model_version_tag.set")
CACHED_SECONDS: Final = 60
"""So long an MLflow server may go on with the list of webhooks as it was."""

SCHEMES: Final = "MLFLOW_WEBHOOK_ALLOWED_SCHEMES"
PRIVATE_IPS: Final = "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"
ENCRYPTION_KEY: Final = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"

_ARRIVED: Final = 202
_PROBES: Final = 3
_AT_ONCE: Final = 8
_MOST_LISTED: Final = 1000
_MAKE_KEY: Final = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


@dataclass(frozen=True, slots=True)
class Webhook:
    """As MLflow lists it. The secret is never shown."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    status: str


@dataclass(frozen=True, slots=True)
class Installed:
    """``created`` False: one that was there was changed. ``removed``: further ones of that name. ``others``: further
    ones that send to the same address, under other names; what they send is taken for what it is, a second hint."""

    webhook: Webhook
    created: bool
    removed: tuple[Webhook, ...] = ()
    others: tuple[Webhook, ...] = ()


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of the event that MLflow sends to try a webhook. ``status``: the HTTP status it was answered with, None
    if it was not answered. ``way_out`` is "" where nothing is to be mended."""

    arrived: bool
    status: int | None
    said: str
    way_out: str = ""


def webhooks(connection: Connection) -> tuple[Webhook, ...]:
    """All webhooks of the server. Raises ConfigurationError (the registry is no server) and RegistryError."""
    _refuse_no_server(connection)
    found: list[Webhook] = []
    token: str | None = None
    with _explained(connection, "list the webhooks"):
        while len(found) < _MOST_LISTED:
            page = connection.client.list_webhooks(max_results=100, page_token=token)
            found += [_webhook(entity) for entity in page]
            token = page.token
            if not token:
                break
    return tuple(found)


def install(connection: Connection, url: str, secret: str, *, name: str = NAME) -> Installed:
    """See to it that exactly one webhook is called ``name``, sends to ``url`` and signs with ``secret``.

    Done again, it changes nothing but the secret. Raises ConfigurationError (``url`` or the registry will not do) and
    RegistryError, whose way out names the setting that the server lacks.
    """
    url = receiver_url(url)
    known = webhooks(connection)
    ours = sorted(
        (one for one in known if name == one.name or url == one.url), key=lambda one: _likeness(one, name, url)
    )
    what = f"register the webhook {name!r}"
    with _explained(connection, what, url):
        if ours:
            entity = connection.client.update_webhook(
                ours[0].id, name=name, url=url, events=list(EVENTS), secret=secret, status="ACTIVE"
            )
        else:
            entity = connection.client.create_webhook(
                name, url, list(EVENTS), description="Tells finetune-gate what to look at.", secret=secret
            )
    removed = tuple(one for one in ours[1:] if one.name == name)
    for one in removed:
        _delete(connection, one)
    installed = Installed(_webhook(entity), not ours, removed, tuple(one for one in ours[1:] if one.name != name))
    try:
        _refuse_separate_keys(connection)
    except RegistryError:
        if installed.created:  # left there, it would keep the server from listing any, even with a key
            with suppress(RegistryError):
                _delete(connection, installed.webhook)
        raise
    return installed


def remove(connection: Connection, *, name: str = NAME) -> tuple[Webhook, ...]:
    """Delete the webhooks called ``name``; those that there were."""
    found = tuple(one for one in webhooks(connection) if one.name == name)
    for one in found:
        _delete(connection, one)
    return found


def send_test(connection: Connection, webhook: Webhook) -> Tried:
    """Have MLflow send its example event: version 1 of ``example_model``. Raises RegistryError, not for what comes of
    the event."""
    try:
        with _explained(connection, f"send an event through the webhook {webhook.name!r}", webhook.url):
            result = connection.client.test_webhook(webhook.id, EVENTS[0])
    except NotInRegistry:
        raise
    except RegistryError as error:
        if "no answer in time" not in error.problems[0].found:
            raise
        return Tried(False, None, "MLflow waits for an answer from there, and none comes", _not_there(webhook.url))
    status = result.response_status
    if status == _ARRIVED:
        return Tried(True, status, "the event came through, and was answered 202")
    if status is not None:
        return Tried(False, status, f"the event was answered {status}", _way_out_of(status, webhook.url))
    said = plain(result.error_message or "MLflow could not send it", 600)
    return Tried(False, None, _short(said), _way_out_of_failing(said, webhook.url))


def receiver_url(url: str) -> str:
    """``url``, with the receiver's path where it has none. Raises ConfigurationError."""
    parts = urlsplit(url)
    problem: str | None = None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        problem = "no address that MLflow could send to"
    elif parts.username or parts.password or parts.query or parts.fragment:
        problem = "an address with user, password, query or fragment, which MLflow would show to others"
    if problem:
        raise ConfigurationError(
            Problem(
                "URL", problem, f"such as https://gate.example.com{PATH}", "as MLflow's server reaches the receiver"
            )
        )
    return url.rstrip("/") + PATH if parts.path in ("", "/") else url


def _likeness(one: Webhook, name: str, url: str) -> int:
    return -(2 * (one.name == name) + (one.url == url))


def _delete(connection: Connection, webhook: Webhook) -> None:
    with _explained(connection, f"delete the webhook {webhook.name!r}"):
        connection.client.delete_webhook(webhook.id)


def _webhook(entity: WebhookEntity) -> Webhook:
    events = tuple(str(event) for event in entity.events)
    return Webhook(entity.webhook_id, entity.name, entity.url, events, str(entity.status))


def _refuse_no_server(connection: Connection) -> None:
    if not connection.registry_uri.startswith(("http://", "https://")):
        raise ConfigurationError(
            Problem(
                f"MLflow at {connection.label}",
                "the registry is used without a server, and only a server sends webhooks",
                "the address of an MLflow server",
                "start `mlflow server` on it, or let `finetune-gate watch` look at it",
            )
        )


def _refuse_separate_keys(connection: Connection) -> None:
    """A server without a key makes one up in each of its processes: each can read only what itself has stored, and
    deliveries of the others are lost. Ask as many of them as may be: over many connections, and at once, so that none
    of the processes answers alone.
    """

    def listed(_: int) -> None:
        connection.client.list_webhooks(max_results=1)

    for attempt in range(_PROBES):
        with (
            _on_other_connections(attempt),
            _explained(connection, "list the webhooks again"),
            ThreadPoolExecutor(_AT_ONCE) as threads,
        ):
            list(threads.map(listed, range(_AT_ONCE)))


def _on_other_connections(attempt: int) -> AbstractContextManager[None]:
    """MLflow's client keeps its connections for each set of these settings, and would try again until it meets a
    process that can answer."""
    return mlflow_settings(
        {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": str(attempt + 1)}
    )


@contextmanager
def _explained(connection: Connection, what: str, url: str = "") -> Generator[None]:
    try:
        with connection.doing(what):
            yield
    except RegistryError as error:
        told = _told(error, connection, what, url)
        if told is None:
            raise
        raise told from error.__cause__


def _told(error: RegistryError, connection: Connection, what: str, url: str) -> RegistryError | None:
    """What MLflow meant, where more can be said of it than it says."""
    where = f"MLflow at {connection.label}"
    cause, code = str(error.__cause__), error_code(error)
    scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    problem: Problem | None = None
    if "Invalid webhook URL scheme" in cause:
        found = f"its server sends webhooks to no {scheme} address"
        way_out = f"an https address, or start the server with {SCHEMES}=http,https"
        problem = Problem(where, found, "a server that may", way_out)
    elif "non-public IP" in cause:
        found = f"its server sends webhooks to public addresses only, and {host} is not one"
        way_out = f"start the server with {PRIVATE_IPS}=true, or make the receiver public"
        problem = Problem(where, found, "a server that may", way_out)
    elif "Cannot resolve Webhook URL" in cause:
        found = f"its server does not know the host {host}"
        problem = Problem(where, found, "the receiver's address as that server reaches it", "correct the URL")
    elif "500 error responses" in cause or (code == "INTERNAL_ERROR" and "InvalidToken" in repr(error.__cause__)):
        problem = _no_key(where, what)
    elif code == "PERMISSION_DENIED" or _is_status(error, 403):
        found = f"cannot {what}: not allowed"
        way_out = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an admin's account"
        problem = Problem(where, found, "an account that may: with MLflow's basic-auth, an admin", way_out)
    elif "error code 404" in cause or code == "ENDPOINT_NOT_FOUND":
        problem = Problem(where, "its server knows no webhooks", "MLflow 3.3 or later", "a newer server")
    return RegistryError(problem) if problem else None


def _no_key(where: str, what: str) -> Problem:
    way_out = (
        f"start the server with {ENCRYPTION_KEY}=KEY, always the same; `{_MAKE_KEY}` makes one. Webhooks that were "
        "stored without it, or with another, stay unreadable: delete them in MLflow's database, from the tables "
        "webhook_events and webhooks, and install again"
    )
    found = f"cannot {what}: its server fails over its own webhooks, most likely for want of {ENCRYPTION_KEY}"
    return Problem(where, found, "a server on a database, with a key that outlives its processes", way_out)


def _is_status(error: RegistryError, status: int) -> bool:
    return bool(re.search(rf"error code {status}\b|\b{status} Client Error", str(error.__cause__)))


def _way_out_of(status: int, url: str) -> str:
    match status:
        case 401:
            return "start the receiver with the secret that the webhook was installed with, and check both clocks"
        case 404 | 405:
            return f"the receiver takes deliveries at {PATH}: correct the path of {url}"
        case 503:
            return "the receiver cannot write its inbox: see what it says"
        case _:
            return f"something else than the receiver answers at {url}: correct the address"


def _way_out_of_failing(said: str, url: str) -> str:
    if "SSLError" in said or "CERTIFICATE" in said.upper():
        return "give the receiver's address a certificate that the MLflow server's machine trusts"
    if "not a public IP" in said:
        return f"start the MLflow server with {PRIVATE_IPS}=true, or make the receiver public"
    return _not_there(url)


def _not_there(url: str) -> str:
    host = urlsplit(url).netloc
    return f"start `finetune-gate serve`, and see that the MLflow server's machine reaches {host}"


def _short(said: str) -> str:
    """The innermost of what MLflow nests."""
    for pattern in (r"\[Errno -?\d+\] ([^)'\"\\\]]+)", r"\[SSL[^\]]*\] ([^)'\"\\]+)", r"(\w*[Tt]imed? ?out\w*)"):
        found = re.search(pattern, said)
        if found:
            return f"the event did not get there: {plain(found[1], 200)}"
    return f"the event did not get there: {plain(said, 200)}"
