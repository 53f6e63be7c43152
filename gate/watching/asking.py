"""Which versions of a model ask to be gated, by the triggers of a gate file. Pure: no registry, no clock.

for one in who_asks(gate, versions, aliases, log, served=served, others=others):
    one.why, one.standing.state              # of an Ask
    one.sentence                             # of a NotYet
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..gate_file import Gate
from ..gate_file.settings import Triggers
from ..registry.mlflow_client import plain
from ..registry.registered import RegisteredVersion
from ..turns import Log, Row, Standing, Subject


@dataclass(frozen=True, slots=True)
class Ask:
    """A version that asks to be gated by the gate file at ``gate_path``, ``why``, and where that stands.

    ``before`` is the turn before the one it stands at, such as the one that asked for the run. ``missed``: how many
    turns at the end reached nobody.
    """

    subject: Subject
    gate_path: Path
    why: str
    standing: Standing
    before: Row | None = None
    missed: int = 0


@dataclass(frozen=True, slots=True)
class NotYet:
    """A version that asks, and that cannot be gated as it is now."""

    version: str
    why: str
    sentence: str


def who_asks(
    gate: Gate,
    versions: Iterable[RegisteredVersion],
    aliases: Mapping[str, str],
    log: Log,
    *,
    path: Path | None = None,
    served: Collection[str] = (),
    others: Collection[str] = (),
) -> Iterator[Ask | NotYet]:
    """What asks, lowest version first; also what has been gated, whose standing says so.

    ``aliases``: alias to version. ``path``: how the gate file was named, where that is to be passed on.
    ``served``: versions that serve or have served, which are not new whatever their number. ``others``: digests of
    the other gate files that are watched for this model; what they decided says nothing about this one.
    """
    triggers = gate.file.triggers
    for version in sorted(versions, key=lambda one: int(one.version)):
        if version.version == aliases.get(gate.file.promotion.alias):
            continue
        new = version.version not in served and _is_new(version, log, others)
        why = _why(triggers, version, aliases, new=new)
        if why is None:
            continue
        if version.status != "READY":
            said = f" ({plain(version.status_message, 120)})" if version.status_message else ""
            yield NotYet(version.version, why, f"its status in MLflow is {plain(version.status, 40)}{said}, not READY")
            continue
        subject = Subject.of(version, gate.digest)
        standing = log.standing(subject.key)
        yield Ask(subject, path or gate.path, why, standing, _before(log, standing), _missed(log, subject.key))


def _why(triggers: Triggers, version: RegisteredVersion, aliases: Mapping[str, str], *, new: bool) -> str | None:
    """In the words of the gate file, so that nothing of the registry's gets into commands and logs."""
    for alias in triggers.aliases:
        if aliases.get(alias) == version.version:
            return f"alias {alias}"
    for stage in triggers.stages:
        if version.stage == stage:
            return f"stage {stage}"
    for key, value in triggers.tags.items():
        if key in version.tags and value in ("*", version.tags[key]):
            return plain(f"tag {key}" if value == "*" else f"tag {key}={value}", 120)
    return "new version" if triggers.new_versions and new else None


def _is_new(version: RegisteredVersion, log: Log, others: Collection[str]) -> bool:
    return (
        log.watched_from is not None
        and int(version.version) > log.watched_from
        and not any(_decided(version, row, others) for row in log.rows if row.number in log.counting)
    )


def _decided(version: RegisteredVersion, row: Row, others: Collection[str]) -> bool:
    """Whether ``row`` is a decision on this very version, by an earlier edition of the gate file, or one that is not
    watched. A version that was registered anew under an old number has another key."""
    turn = row.turn
    return (
        turn.version == version.version
        and row.ending is not None
        and row.ending.outcome in ("promote", "block", "hold")
        and turn.gate_digest not in others
        and turn.key == Subject.of(version, turn.gate_digest).key
    )


def _before(log: Log, standing: Standing) -> Row | None:
    over = standing.row.turn.over if standing.row else 0
    return next((row for row in log.rows if row.number == over), None) if over else None


def _missed(log: Log, key: str) -> int:
    count = 0
    for row in reversed(log.rows):
        if row.number in log.counting and row.turn.key == key:
            if row.ending is None or row.ending.outcome != "undelivered":
                break
            count += 1
    return count
