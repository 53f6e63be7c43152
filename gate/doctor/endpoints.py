"""The APIs that a gate file's models are behind: is the key there, does the address answer, does it know the model?

Only ``GET base_url/models`` is asked, which costs nothing; never a completion.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import cast

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.evaluators.evaluator import Evaluator, JudgedEvaluator

from ..endpoints.access import NO_KEY, Access, access_to
from ..gate_file import Gate, GateFile
from ..models.addresses import OPENAI, Servers
from ..pins import Endpoint
from .asking import NoReply, Reply, ask
from .finding import Finding, fault, faults_of, ok, warning

_ANY = "any"  # an endpoint is found by the address of a model; which one makes no difference here


def wanted_models(gate: Gate) -> dict[str, list[str]]:
    """By API: the models that the gate file names behind it. Declared APIs are there also without any. What a
    registered version of MLflow's openai flavor names, only a run knows."""
    found: dict[str, list[str]] = {name: [] for name in gate.file.endpoints}
    for address in (gate.file.base, *_judges(gate.evaluators)):
        api, _, model = address.partition(":/")
        if model and not model.startswith("/") and (api in found or api == OPENAI):
            known = found.setdefault(api, [])
            known += [] if model in known else [model]
    return found


def endpoint_findings(
    file: GateFile, api: str, models: list[str], seconds: float, environ: Mapping[str, str] = os.environ
) -> list[Finding]:
    """What is found about one API of the gate file, which names ``models`` behind it. Where it names none, nothing that
    is wrong with the API keeps a gate from running."""
    found = list(_looked_at(file, api, models, seconds, environ))
    if models:
        return found
    said = "; the gate file names no model behind it"
    return [warning(one.name, one.found + said, one.way_out) if one.state == "fault" else one for one in found]


def _looked_at(
    file: GateFile, api: str, models: list[str], seconds: float, environ: Mapping[str, str]
) -> Iterator[Finding]:
    name = f"endpoint {api}"
    try:
        endpoint = Servers(file.endpoints, environ).endpoint(f"{api}:/{_ANY}")
        if endpoint is None:
            return
        access = access_to(endpoint, environ)
    except ConfigurationError as error:
        yield from faults_of(name, error)
        return
    key = access.key.get_secret_value()
    headers = {"Accept-Encoding": "identity"} | ({} if key == NO_KEY else {"Authorization": f"Bearer {key}"})
    reply = ask(f"{access.base_url}/models", seconds, headers=headers)
    missing = f", and {endpoint.key_variable} is not set" if endpoint.key_variable and key == NO_KEY else ""
    if isinstance(reply, NoReply):
        way_out = f"start it, or correct endpoints.{api}.base_url"
        yield fault(name, f"{access.base_url}: {reply.reason}{missing}", way_out)
    else:
        yield _answered(name, reply, access, endpoint, missing, models)


def _answered(name: str, reply: Reply, access: Access, endpoint: Endpoint, missing: str, models: list[str]) -> Finding:
    where = access.base_url
    if reply.status in (401, 403):
        variable = endpoint.key_variable
        way_out = (
            f"set {variable} to a key that it accepts" if variable else "name the key's variable: endpoints, `key`"
        )
        return fault(name, f"{where} refuses this account (status {reply.status}){missing}", way_out)
    if 300 <= reply.status < 400:
        way_out = "set base_url to where it leads: a redirect is not followed, it would carry the key elsewhere"
        return fault(name, f"{where} redirects (status {reply.status})", way_out)
    if reply.status != 200:
        way_out = (
            "nothing, if that server lists no models; else check that base_url ends with the version, as in .../v1"
        )
        return warning(name, f"{where} answers, but /models with status {reply.status}{missing}", way_out)
    if missing:
        way_out = f"export {endpoint.key_variable}=..., or leave `key` out if the server needs none"
        return warning(name, f"{where} answers{missing}", way_out)
    listed = _names(reply)
    if listed is None:
        way_out = "check that base_url is an OpenAI-compatible API's, up to and with the version"
        return warning(name, f"{where} answers /models with something that is no list of models", way_out)
    unknown = [model for model in models if model not in listed]
    if unknown:
        known = ", ".join(access.quoted(one, 60) for one in listed[:5]) or "none"
        found = f"{where} does not list {', '.join(map(repr, unknown))}; it lists {known}" + " ..." * (len(listed) > 5)
        return warning(name, found, "correct the model's name, unless the server knows it by a name it does not list")
    return ok(name, f"{where} answers" + (f" and lists {', '.join(models)}" if models else ""))


def _names(reply: Reply) -> list[str] | None:
    """The models' names, as OpenAI's format has them; None where the answer has another."""
    body = reply.json()
    data = cast("dict[str, object]", body).get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        return None
    entries = [cast("dict[str, object]", entry) for entry in cast("list[object]", data) if isinstance(entry, dict)]
    return [name for entry in entries if isinstance(name := entry.get("id"), str)]


def _judges(evaluators: Mapping[str, Evaluator]) -> list[str]:
    return [judge for one in evaluators.values() if isinstance(one, JudgedEvaluator) for judge in one.judges()]
