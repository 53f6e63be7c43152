"""MLflow from outside: which address is set, and whether a server of a fitting version answers there."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ..registry.mlflow_client import public_uri
from .asking import NoReply, Reply, ask, is_loopback
from .finding import Finding, fault, ok, skipped, warning
from .machine import VersionOf, installed

ADDRESS: Final = "mlflow address"
SERVER: Final = "mlflow server"
_SECRETS: Final = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_START_IT: Final = "start it (`mlflow server`), or set MLFLOW_TRACKING_URI to one that answers"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where runs are tracked and where models are registered. Empty: nobody said, so MLflow takes its default."""

    tracking: str
    registry: str

    @classmethod
    def read(cls, tracking_uri: str | None, environ: Mapping[str, str] = os.environ) -> Addresses:
        tracking = tracking_uri or environ.get("MLFLOW_TRACKING_URI", "")
        return cls(tracking, environ.get("MLFLOW_REGISTRY_URI") or tracking)

    def each(self) -> tuple[str, ...]:
        """Both, or the one that they are."""
        return tuple(dict.fromkeys((self.tracking, self.registry)))


def is_http(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def address_findings(addresses: Addresses, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """What can be told by looking at the addresses. A fault here means: ask no further."""
    for uri in addresses.each():
        if is_file_store(uri):
            yield fault(
                ADDRESS,
                f"{public_uri(uri)} is a folder: MLflow keeps no registry in one any more",
                "run `mlflow server` on a database and set MLFLOW_TRACKING_URI to it, or use sqlite:///mlflow.db; "
                "`mlflow migrate-filestore` takes what is there along",
            )
            continue
        secrets = [name for name in _SECRETS if environ.get(name)]
        if uri.startswith("http://") and not is_loopback(uri) and (secrets or "@" in uri):
            what = " and ".join(secrets) or "the password in the address"
            yield warning(ADDRESS, f"{what} would travel to {public_uri(uri)} unencrypted", "reach it by https")
        elif not uri:
            found = "MLFLOW_TRACKING_URI is not set: MLflow takes a database in the folder it is started from"
            yield warning(ADDRESS, found, "set it, so that every folder and every job means the same registry")
        else:
            yield ok(ADDRESS, public_uri(uri) + ("" if uri == addresses.tracking else ", for the registry"))


def is_file_store(uri: str) -> bool:
    return uri.startswith("file:") or ("://" not in uri and uri not in ("", "databricks", "databricks-uc"))


def server_finding(uri: str, seconds: float, version_of: VersionOf = installed) -> Finding:
    """Whether MLflow answers at ``uri``, and which version. Asked without credentials."""
    if not is_http(uri):
        return skipped(SERVER, f"{public_uri(uri) or 'the default'} is used directly, without a server")
    reply = ask(f"{public_uri(uri).rstrip('/')}/version", seconds)
    if isinstance(reply, NoReply):
        return fault(SERVER, f"{public_uri(uri)}: {reply.reason}", _START_IT)
    return _compared(reply, public_uri(uri), version_of("mlflow"))


def _compared(reply: Reply, where: str, client: str | None) -> Finding:
    from packaging.version import InvalidVersion, Version

    if reply.status in (401, 403):
        return skipped(SERVER, f"{where} answers, and tells its version to nobody without an account")
    try:
        if reply.status != 200:
            raise InvalidVersion
        server = Version(reply.text.strip()[:40])
    except InvalidVersion:
        found = f"{where} answers with status {reply.status}, and not as MLflow does"
        return warning(SERVER, found, "check the address: is it MLflow's, with the path under which it is served?")
    if client is None or server.release[:2] == Version(client).release[:2]:
        return ok(SERVER, f"{where} answers, version {server}")
    found = f"{where} has version {server}, and the client here {client}"
    if server.major != Version(client).major:
        return fault(SERVER, found, "use the same major version on both sides")
    if server < Version(client):
        return warning(SERVER, found, f"upgrade the server, or pip install 'mlflow=={server}' here")
    return ok(SERVER, found)


def webhook_settings(uri: str, environ: Mapping[str, str] = os.environ) -> Finding:
    """Settings that only the server reads. They are looked at here if its address is this machine's; whether it was
    started with this very environment nobody can tell from outside."""
    name = "mlflow webhook settings"
    key, schemes, private = (
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS",
    )
    if not is_http(uri):
        return skipped(name, "a registry that is used directly sends no webhooks", "they need `mlflow server`")
    on_server = (
        f"where the server is started, set {key} to a Fernet key that stays the same (else signed webhooks fail after "
        f"a restart); for receivers within a private network {private}=true, without https {schemes}=http,https"
    )
    if not is_loopback(uri):
        return skipped(name, "the server's environment cannot be seen from here", on_server)
    seen = f"{schemes} {'set' if environ.get(schemes) else 'not set'}, {private} "
    seen += "set" if environ.get(private) else "not set"
    if not environ.get(key):
        return skipped(name, f"{key} not set in this environment, {seen}; the server may have another", on_server)
    if not _is_fernet_key(environ[key]):
        return warning(name, f"{key} is set in this environment, and is no Fernet key", on_server)
    return ok(name, f"in this environment: {key} set, {seen}")


def _is_fernet_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.strip(), altchars=b"-_", validate=True)) == 32
    except (binascii.Error, ValueError):
        return False
