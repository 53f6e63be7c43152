"""Prefect, looked at from outside by its REST API: which server is meant, does it answer, who may use it, is the gate
deployed there? Prefect itself is not imported, and nothing is changed.
"""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote, urlsplit, urlunsplit

from finetune_gate.evaluators.errors import ConfigurationError, without_credentials
from finetune_gate.flows.prefect_asking import ask_prefect
from finetune_gate.flows.prefect_credentials import prefect_credentials
from finetune_gate.gate.doctor import (
    Finding,
    NoReply,
    Reply,
    VersionOf,
    ask,
    fault,
    faults_of,
    installed,
    is_http,
    is_loopback,
    ok,
    skipped,
    warning,
)

from .locking import limit_name, longest_wait

FLOW: Final = "evaluation_gate"
_SERVER: Final = "prefect server"
_OF_THE_GATE: Final = {"flows": {"name": {"any_": [FLOW]}}, "limit": 20}


def prefect_findings(
    environ: Mapping[str, str] = os.environ,
    *,
    seconds: float,
    model: str | None = None,
    waits: bool = False,
    version_of: VersionOf = installed,
) -> Iterator[Finding]:
    """``model``: the gate file's, whose runs Prefect keeps from running at once. ``waits``: the gate file wants runs
    that hold to wait for a review, which takes a deployment."""
    url = environ.get("PREFECT_API_URL", "").strip().rstrip("/")
    if not url:
        yield from _without_server(environ, waits=waits)
        return
    shown = without_credentials(url.split("?", 1)[0])
    if not is_http(url):
        yield fault("prefect address", f"PREFECT_API_URL: {shown} is no address", "such as http://127.0.0.1:4200/api")
        return
    headers = prefect_credentials(environ)
    withheld = bool(headers) and url.startswith("http://") and not is_loopback(url)
    if withheld:
        yield warning("prefect address", f"the credentials for {shown} travel unencrypted", "reach it by https")
        headers = {}  # a run sends them, a look need not
    else:
        yield ok("prefect address", shown)
    health = ask(f"{url}/health", seconds)
    if isinstance(health, NoReply):
        way_out = "start it (`prefect server start`), or unset PREFECT_API_URL to gate without a server"
        yield fault(_SERVER, f"{shown}: {health.reason}", way_out)
        return
    if health.json() is not True:
        found = f"{shown} answers with status {health.status}, and not as Prefect's API does"
        yield fault(_SERVER, found, "check the address: it ends in /api")
        return
    version = ask(f"{url}/admin/version", seconds, headers=headers)
    if withheld and isinstance(version, Reply) and version.status in (401, 403):
        yield skipped(_SERVER, f"{shown} wants credentials, which are not sent unencrypted just to look at it")
        return
    yield _version(version, shown, version_of("prefect"), with_credentials=bool(headers))
    yield _protection(shown, seconds)
    yield _ui(shown, seconds)
    if isinstance(version, Reply) and version.status == 200:
        listed = ask_prefect(url, "/deployments/filter", seconds, headers=headers, body=_OF_THE_GATE)
        yield _deployment(listed, waits=waits)
        limits = ask_prefect(url, "/v2/concurrency_limits/filter", seconds, headers=headers, body={"limit": 200})
        yield _limits(limits)
        if model is not None:
            limit = limit_name(model)
            yield _lock(limit, ask(f"{url}/v2/concurrency_limits/{quote(limit, safe='')}", seconds, headers=headers))
            yield from _lock_wait()


def _without_server(environ: Mapping[str, str], *, waits: bool) -> Iterator[Finding]:
    """Runs are walked without Prefect, or with a server that lives as long as they do."""
    home = Path(environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    profiles = Path(environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    url = _profile_url(profiles, environ.get("PREFECT_PROFILE"))
    if url:
        found = f"PREFECT_API_URL is not set, but a profile in {profiles} names {without_credentials(url)}"
        way_out = "export PREFECT_API_URL, or give `run` --prefect: a profile alone does not make a run a flow run"
        yield warning("prefect address", found, way_out)
    elif waits:
        found = "PREFECT_API_URL is not set, and review.wait: hold needs a run of a Prefect deployment"
        yield warning("prefect address", found, "set it, and serve the flow: `finetune-gate deployments`")
    else:
        yield skipped("prefect address", "PREFECT_API_URL is not set: runs are walked without Prefect's server")
    there = next((one for one in (home, *home.parents) if one.exists()), home)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        yield ok("prefect home", f"{home} can be written to, as `run --prefect` needs")
    else:
        found = f"{home} cannot be written to, so `run --prefect` cannot start a server of its own"
        yield warning("prefect home", found, "set PREFECT_HOME to a folder that this account may write to")


def _profile_url(profiles: Path, active: str | None) -> str:
    try:
        said: dict[str, object] = tomllib.loads(profiles.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    named = said.get("profiles")
    profile = (
        cast("dict[str, object]", named).get(active or str(said.get("active"))) if isinstance(named, dict) else None
    )
    url = cast("dict[str, object]", profile).get("PREFECT_API_URL") if isinstance(profile, dict) else None
    return url if isinstance(url, str) else ""


def _version(reply: Reply | NoReply, where: str, client: str | None, *, with_credentials: bool) -> Finding:
    from packaging.version import InvalidVersion, Version

    if isinstance(reply, NoReply):
        return fault(_SERVER, f"{where}: {reply.reason}", "is it overloaded? ask again with more --seconds")
    if reply.status in (401, 403):
        if with_credentials:
            way_out = "set PREFECT_API_AUTH_STRING or PREFECT_API_KEY to what the server was given"
            return fault(_SERVER, f"{where} refuses the credentials that are set here", way_out)
        return fault(_SERVER, f"{where} wants credentials", "set PREFECT_API_AUTH_STRING, or PREFECT_API_KEY; by https")
    said = reply.json()
    try:
        server = Version(said) if isinstance(said, str) else None
    except InvalidVersion:
        server = None
    if server is None:
        return warning(_SERVER, f"{where} answers, and does not tell its version", "check that it is Prefect's API")
    found = f"{where} has version {server}, and the client here {client}"
    if client and server.major != Version(client).major:
        return fault(_SERVER, found, "use the same major version on both sides")
    if client is None or server.release[:2] >= Version(client).release[:2]:
        return ok(_SERVER, f"{where} answers, version {server}")
    return warning(_SERVER, found, "upgrade the server: an older one refuses what a newer client asks")


def _protection(url: str, seconds: float) -> Finding:
    """Whether everybody who reaches the API at ``url``, which holds no password, may use it. Where that is an address
    of this machine alone, the server is looked for at the one that others would use."""
    name = "prefect protection"
    if (urlsplit(url).hostname or "").endswith(".prefect.cloud"):
        return ok(name, f"{url} is Prefect Cloud")
    bare = ask(f"{url}/admin/version", seconds)
    if isinstance(bare, NoReply) or bare.status not in (200, 401, 403):
        said = bare.reason if isinstance(bare, NoReply) else f"status {bare.status}"
        return skipped(name, f"asked without credentials, {url} gives {said}")
    if bare.status != 200:
        return ok(name, f"{url} answers only to those with credentials")
    way_out = (
        "bind the server to an address that only you reach (--host 127.0.0.1), or set PREFECT_SERVER_API_AUTH_STRING "
        "where it is started and PREFECT_API_AUTH_STRING here"
    )
    danger = "without authentication: whoever reaches it can start gates and approve versions"
    if not is_loopback(url):
        return warning(name, f"{url} answers {danger}", way_out)
    outside = _seen_from_outside(url)
    if outside is None:
        return ok(name, f"{url} answers without authentication, and this machine has no other address")
    reply = ask(f"{outside}/admin/version", min(seconds, 2.0))
    if isinstance(reply, Reply) and reply.status == 200:
        return warning(name, f"the server also answers at {outside}, {danger}", way_out)
    return ok(name, f"{url} answers without authentication, from this machine alone")


def _seen_from_outside(url: str) -> str | None:
    """``url`` with the address by which others reach this machine, as its routes tell; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documentation: it only has to lie outside
        except OSError:
            return None
        own = str(probe.getsockname()[0])
    if own.startswith("127."):
        return None
    parts = urlsplit(url)
    host = own if parts.port is None else f"{own}:{parts.port}"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _ui(url: str, seconds: float) -> Finding:
    """Where the server's pages tell browsers to find the API at ``url``. Unset, that is the address the server was
    bound to, which is nobody else's."""
    name = "prefect ui"
    parts = urlsplit(url)
    reply = ask(
        urlunsplit((parts.scheme, parts.netloc, f"{parts.path.removesuffix('/api')}/ui-settings", "", "")), seconds
    )
    body = reply.json() if isinstance(reply, Reply) and reply.status == 200 else None
    told, pages = None, None
    if isinstance(body, dict):
        settings = cast("dict[str, object]", body)
        told, pages = settings.get("api_url"), settings.get("available_uis")
    if not isinstance(told, str) or not told or pages == []:
        return skipped(name, "this server has no pages, or does not tell where they look for the API")
    told = without_credentials(told)
    if told.startswith("/") or told.rstrip("/") == url:
        return ok(name, f"its pages ask {told}")
    way_out = f"set PREFECT_SERVER_UI_API_URL={url} where the server is started"
    if (urlsplit(told).hostname or "") in ("0.0.0.0", "::"):
        return warning(name, f"its pages tell browsers to ask {told}, which is no address to ask", way_out)
    if is_loopback(told) and not is_loopback(url):
        return warning(name, f"its pages tell every browser to ask its own machine, {told}", way_out)
    reached = ask(f"{told.rstrip('/')}/health", seconds)
    if isinstance(reached, Reply) and reached.json() is True:
        return ok(name, f"its pages ask {told}, which answers")
    return warning(name, f"its pages tell browsers to ask {told}, which does not answer from here", way_out)


def _lock(limit: str, reply: Reply | NoReply) -> Finding:
    """The limit by which Prefect runs one gate of a model at a time."""
    name = "prefect lock"
    if isinstance(reply, Reply) and reply.status == 404:
        return ok(name, f"{limit} is made by the first run")
    body = reply.json() if isinstance(reply, Reply) and reply.status == 200 else None
    if not isinstance(body, dict):
        return skipped(name, f"the server does not tell of its limit {limit}")
    found = cast("dict[str, object]", body)
    faults = ["it is inactive, and lets everybody through"] if found.get("active") is False else []
    faults += [] if found.get("limit") == 1 else [f"it lets {found.get('limit')} in at once"]
    if faults:
        way_out = f"prefect gcl update {limit} --enable --limit 1; the next run does so, too"
        return warning(name, f"{limit}: {' and '.join(faults)}", way_out)
    taken = found.get("active_slots")
    return ok(name, f"{limit} lets one gate in at a time, {'free' if not taken else 'taken now'}")


def _lock_wait() -> Iterator[Finding]:
    try:
        longest_wait()
    except ConfigurationError as error:
        yield from faults_of("prefect lock", error)


def _deployment(reply: Reply | NoReply, *, waits: bool) -> Finding:
    name = "prefect deployment"
    found = _rows(reply)
    if found is None:
        return skipped(name, "the server did not list its deployments")
    way_out = "serve it beside your MLflow settings: `finetune-gate deployments`, or a worker"
    if not found:
        why = "review.wait: hold needs one" if waits else "gates can be started from here, not from Prefect's UI"
        return (warning if waits else skipped)(name, f"none of flow {FLOW}: {why}", way_out)
    names = [f"{FLOW}/{one.get('name')}" for one in found]
    ready = [one for one in found if one.get("status") == "READY" and not one.get("paused")]
    if not ready:
        return warning(name, f"{', '.join(names)}: paused, or nobody serves it, so runs stay scheduled", way_out)
    return ok(name, f"{', '.join(names)}, served")


def _limits(reply: Reply | NoReply) -> Finding:
    """Of all limits, the gate's own and yours, which may be meant for it."""
    name = "prefect limits"
    found = _rows(reply)
    if found is None:
        return skipped(name, "the server did not list its concurrency limits")
    idle = [str(one.get("name")) for one in found if one.get("active") is False]
    if idle:
        way_out = "activate or delete them: an inactive limit lets everybody through, even where it is strict"
        return warning(name, f"inactive: {', '.join(idle[:10])}", way_out)
    return ok(name, f"{len(found)} concurrency limits, none inactive")


def _rows(reply: Reply | NoReply) -> list[dict[str, object]] | None:
    body = reply.json() if isinstance(reply, Reply) and reply.status == 200 else None
    if not isinstance(body, list):
        return None
    return [cast("dict[str, object]", one) for one in cast("list[object]", body) if isinstance(one, dict)]
