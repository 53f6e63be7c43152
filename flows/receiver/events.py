"""What a delivery says, and whether it is a reason to look at a model. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Never, cast

from finetune_gate.gate.gate_file import GateFile
from finetune_gate.gate.gate_file.settings import OWN_TAGS
from finetune_gate.gate.registry.own_models import is_own
from finetune_gate.gate.registry.webhooks import EVENTS

_DETAIL: Final = {"model_version_alias.created": "alias", "model_version_tag.set": "key"}
"""What the ``data`` of some events must tell besides name and version."""


class Unreadable(ValueError):
    """A body that is no event of MLflow's."""


@dataclass(frozen=True, slots=True)
class Event:
    """``kind`` is entity and action: ``model_version.created``. ``detail`` is the alias or the tag's key, else "".

    Of kinds that do not count, nothing but the kind is read.
    """

    kind: str
    name: str = ""
    version: str = ""
    detail: str = ""

    def __str__(self) -> str:
        detail = f", {self.detail!r}" if self.detail else ""
        return f"{self.kind}: {self.name!r} version {self.version}{detail}"


def event_of(body: bytes) -> Event:
    """Raises Unreadable: not strict JSON in UTF-8, or a field is missing or no text."""
    try:
        value: object = json.loads(
            body.decode(), object_pairs_hook=_without_twins, parse_constant=_refused, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from None
    kind = f"{_text(value, 'entity')}.{_text(value, 'action')}"
    if kind not in EVENTS:
        return Event(kind)
    data = cast("dict[str, object]", value).get("data")
    detail = _text(data, _DETAIL[kind]) if kind in _DETAIL else ""
    return Event(kind, _text(data, "name"), _text(data, "version"), detail)


def own_aliases(files: Iterable[GateFile]) -> dict[str, frozenset[str]]:
    """Every model that ``files`` speak of, with the aliases that gates alone move: no reason to look.

    An alias that one gate moves and another has among its triggers is a reason.
    """
    moved: dict[str, set[str]] = {}
    asking: dict[str, set[str]] = {}
    for file in files:
        moved.setdefault(file.model, set()).add(file.promotion.alias)
        asking.setdefault(file.model, set()).update(file.triggers.aliases)
    return {model: frozenset(moved[model] - asking[model]) for model in moved}


def why_ignored(event: Event, models: Mapping[str, frozenset[str]]) -> str | None:
    """Why ``event`` is no reason to look at its model, in a few fixed words; None if it is one.

    ``models`` as `own_aliases` gives them.
    """
    if event.kind not in EVENTS:
        return "another kind of event"
    if is_own(event.name):
        return "own books"
    if event.name not in models:
        return "another model"
    if event.kind == "model_version_tag.set" and event.detail.startswith(OWN_TAGS):
        return "own tag"
    if event.kind == "model_version_alias.created" and event.detail in models[event.name]:
        return "own alias"
    return None


def _text(value: object, field: str) -> str:
    found = cast("dict[str, object]", value).get(field) if isinstance(value, dict) else None
    if not isinstance(found, str):
        raise Unreadable(f"no text {field!r}")
    return found


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field twice")
    return found


def _refused(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number beyond all bounds")
    return number
