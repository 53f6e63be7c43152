"""Versions of a registered model: how people name them, what the registry says of them, what promotions note."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from finetune_gate.evaluators.errors import ConfigurationError, Problem, RegistryError

from .mlflow_client import plain
from .mlflow_types import VersionEntity

INTENT_TAG: Final = "finetune_gate.promotion"
"""Version tag that a promotion sets before it moves anything, and clears when all is published."""


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version of a registered model, as the registry has it now. Times are milliseconds since 1970."""

    name: str
    version: str
    run_id: str | None
    source: str
    status: str
    status_message: str
    stage: str
    created_ms: int
    updated_ms: int
    tags: Mapping[str, str]
    description: str = ""

    @classmethod
    def of(cls, entity: VersionEntity) -> RegisteredVersion:
        """From MLflow's own; a server says "" where a database says None, and text where it says a number."""
        return cls(
            name=entity.name,
            version=str(entity.version),
            run_id=entity.run_id or None,
            source=entity.source or "",
            status=entity.status,
            status_message=entity.status_message or "",
            stage=entity.current_stage or "None",
            created_ms=int(entity.creation_timestamp or 0),
            updated_ms=int(entity.last_updated_timestamp or 0),
            tags=dict(entity.tags),
            description=entity.description or "",
        )

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"

    @property
    def label(self) -> str:
        return f"{self.name} v{self.version}"


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a person named a version: by number, by alias, or as the latest."""

    kind: Literal["version", "alias", "latest"]
    value: str = ""


def parse_spelling(text: str, model: str, what: str = "candidate") -> Spelling:
    """Read how a version of ``model`` is named. Raises ConfigurationError.

    >>> parse_spelling("models:/support-bot@champion", "support-bot")
    Spelling(kind='alias', value='champion')
    >>> parse_spelling("v007", "support-bot")
    Spelling(kind='version', value='7')
    """
    rest = text.strip()
    expected = f"a version (7 or v7), latest, @alias, models:/{model}/7 or models:/{model}@alias"
    if rest.startswith("models:"):
        address = rest.removeprefix("models:").lstrip("/")
        if not address.startswith((f"{model}/", f"{model}@")):
            raise ConfigurationError(
                Problem(
                    where=f"{what} {text!r}",
                    found=f"it does not name a version of registered model {model!r}",
                    expected=expected,
                    way_out=f"name a version of {model!r}, or use the gate file of the other model",
                )
            )
        rest = address.removeprefix(model).removeprefix("/")
    value = rest.removeprefix("@")
    if value == rest:
        if re.fullmatch(r"[vV]?[0-9]{1,18}", value):
            return Spelling("version", str(int(value.lstrip("vV"))))
        # MLflow reserves the word, in any case
        if value.lower() == "latest":
            return Spelling("latest")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", value):
        raise ConfigurationError(
            Problem(
                where=f"{what} {text!r}",
                found="that is not how a version is named",
                expected=expected,
                way_out=f"name one version of {model!r}",
            )
        )
    return Spelling("alias", value)


@dataclass(frozen=True, slots=True)
class Intent:
    """A promotion, written on the version before it begins: move ``alias`` from version ``before`` (None: it was not
    there) to version ``after``. ``published`` once everything about it is; until then it may be half done.
    """

    alias: str
    before: str | None
    after: str
    stage_before: str | None
    decision_digest: str
    record_uri: str
    published: bool = False

    def to_tag(self) -> str:
        fields = {
            "alias": self.alias,
            "from": self.before,
            "to": self.after,
            "stage_from": self.stage_before,
            "decision": self.decision_digest,
            "record": self.record_uri,
            "state": "published" if self.published else "moving",
        }
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def of(cls, version: RegisteredVersion) -> Intent | None:
        """The intent that ``version`` carries, if any; RegistryError if its tag cannot be read."""
        text = version.tags.get(INTENT_TAG)
        if not text:
            return None
        try:
            read = cast("object", json.loads(text))
        except (ValueError, RecursionError):
            read = None
        fields: Mapping[str, object] = cast("Mapping[str, object]", read) if isinstance(read, dict) else {}
        alias, after = fields.get("alias"), fields.get("to")
        before, stage = fields.get("from"), fields.get("stage_from")
        decision, record = fields.get("decision"), fields.get("record")
        if (
            isinstance(alias, str)
            and isinstance(after, str)
            and isinstance(before, str | None)
            and isinstance(stage, str | None)
            and isinstance(decision, str)
            and isinstance(record, str)
            and "from" in fields
        ):
            return cls(alias, before, after, stage, decision, record, fields.get("state") == "published")
        raise RegistryError(
            Problem(
                where=f"tag {INTENT_TAG!r} of {version.label}",
                found=repr(plain(text, 200)),
                expected="what a promotion wrote",
                way_out="somebody changed it: see where the alias points, delete that tag, and run again",
            )
        )
