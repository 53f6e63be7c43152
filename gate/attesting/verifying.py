"""Verifying a decision: all in a run's files that follows from something else is worked out again and compared.

    with kept_at("runs:/4f0c...") as kept:
        found = verify(kept, public_key(Path("signer.pem")))
    found.outcome, found.differences

What follows from nothing else here, such as who ran the gate, or which files the digests of models name, is held by the
statements, which name the digest of every file; and they by their signatures, where there are some and a key is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from finetune_gate.evaluators.catalog import BUILT_IN
from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, FinetuneGateError, Problem
from finetune_gate.evaluators.scores import ScoreTable

from ..gate_file.settings import Gate
from ..record import DatasetRecord, DecisionRecord
from ..run.attested_files import BUNDLE_FILE, STATEMENTS_FILE, attested_digests
from ..run.example_files import examples_digest, read_examples
from ..run.record_parts import levels_of
from ..run.states import EXAMPLES_FILE, FINDINGS_FILE, SCORES_FILE
from .byte_checks import check_files, check_signatures, check_spelling, check_statements, stated_digests
from .checks import Check, compared
from .differences import Difference, differences
from .kept import Kept
from .keys import PublicKey
from .rebuilding import Again, circumstances_of, decide_again, gate_of, kinds_of
from .rounding import rounding_hint

_SETTINGS: Final = {"rules": {"__all__": {"settings"}}}
"""Of rules, compared with the gate file's and not with what was decided by them."""

Outcome = Literal["verified", "differs", "could not be decided again"]


@dataclass(frozen=True, slots=True)
class Verification:
    """``hint``: what may be behind differences in numbers; empty where there is nothing to say."""

    record: DecisionRecord
    checks: tuple[Check, ...]
    hint: str = ""

    @property
    def outcome(self) -> Outcome:
        states = {check.state for check in self.checks}
        if "differs" in states:
            return "differs"
        return "could not be decided again" if "impossible" in states else "verified"

    @property
    def differences(self) -> tuple[Difference, ...]:
        return tuple(one for check in self.checks for one in check.differences)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why it could not be decided again here."""
        return tuple(one for check in self.checks for one in check.problems)


def verify(kept: Kept, key: PublicKey | None = None) -> Verification:
    """Read-only and offline. Whatever the files hold, it is said what is wrong with them. Raises EvaluationError where
    one of them is there and cannot be read."""
    record = kept.record
    try:
        digests = attested_digests(record, kept.content, kept.folder)
        statements_content, bundle = _content(kept, STATEMENTS_FILE), _content(kept, BUNDLE_FILE)
    except OSError as error:
        raise EvaluationError(Problem(str(kept.folder), error.strerror or str(error), "files to read")) from None
    stated = stated_digests(statements_content)
    named = digests if stated is None else stated
    about_bytes = (
        check_spelling(kept),
        check_files(digests, stated),
        check_statements(record, statements_content, named),
        check_signatures(record, bundle, named, key),
    )
    about_scores, table = _scores(kept, digests, stated)
    about_settings, gate = _settings(record, intact=all(check.state != "differs" for check in about_bytes))
    checks = (
        *about_bytes,
        about_scores,
        _findings(record, digests),
        _examples(kept, digests, stated),
        about_settings,
        *_decided(record, gate, table),
    )
    found = [one for check in checks for one in check.differences]
    return Verification(record, checks, rounding_hint(record.run.software, found))


def _content(kept: Kept, name: str) -> bytes | None:
    path = kept.folder / name
    return path.read_bytes() if path.is_file() else None


def _scores(
    kept: Kept, digests: Mapping[str, str], stated: Mapping[str, str] | None
) -> tuple[Check, ScoreTable | None]:
    """Scores that are known not to be those that were kept are not read: they could be anything."""
    if stated is not None and stated.get(SCORES_FILE) != digests.get(SCORES_FILE):
        return Check("score table", "not checked", f"{SCORES_FILE} is not the file that was kept"), None
    try:
        table = kept.scores()
    except FinetuneGateError as error:
        found = (Difference(one.where, one.found, one.expected) for one in error.problems)
        return compared("score table", f"{SCORES_FILE}, read", found), None
    rows = sum(1 for _ in table.rows())
    now = {"file": SCORES_FILE, "digest": table.digest(), "rows": rows}
    check = compared(
        "score table",
        f"digest of {rows:,} rows, beside the one that the record names",
        differences("score_table", kept.record.score_table.model_dump(mode="json"), now),
    )
    return check, table if check.state == "same" else None


def _findings(record: DecisionRecord, digests: Mapping[str, str]) -> Check:
    if record.findings is None:
        return Check("findings", "not checked", "there are none")
    now = {"file": FINDINGS_FILE, "digest": digests.get(FINDINGS_FILE, "there is no such file")}
    what = f"digest of {FINDINGS_FILE}, beside the one that the record names"
    return compared("findings", what, differences("findings", record.findings.model_dump(mode="json"), now))


def _examples(kept: Kept, digests: Mapping[str, str], stated: Mapping[str, str] | None) -> Check:
    """Nothing is decided by them; a file that is known not to be the one that was kept is not read."""
    recorded = kept.record.examples
    if recorded is None:
        return Check("examples", "not checked", "none were kept to be read")
    if stated is not None and stated.get(EXAMPLES_FILE) != digests.get(EXAMPLES_FILE):
        return Check("examples", "not checked", f"{EXAMPLES_FILE} is not the file that was kept")
    try:
        examples = read_examples(kept.folder / EXAMPLES_FILE)
    except EvaluationError as error:
        found = (Difference(one.where, one.found, one.expected) for one in error.problems)
        return compared("examples", f"{EXAMPLES_FILE}, read", found)
    count = sum(map(len, examples.by_evaluator.values()))
    now = {"file": EXAMPLES_FILE, "digest": examples_digest(examples), "examples": count}
    what = f"digest of {count:,} examples, beside the one that the record names"
    return compared("examples", what, differences("examples", recorded.model_dump(mode="json"), now))


def _settings(record: DecisionRecord, *, intact: bool) -> tuple[Check, Gate | None]:
    """Whether the parts of the record that come from the gate file say what its settings say. An evaluator from outside
    is code: what a record names is imported only where the record is ``intact``, as far as its bytes tell."""
    outside = [kind for kind in kinds_of(record) if kind not in BUILT_IN]
    if outside and not intact:
        said = f"evaluator {outside[0]!r} of a record that was changed is not imported"
        return Check("gate file", "not checked", said), None
    try:
        gate = gate_of(record)
        what = "its settings, beside rules, evaluators, datasets and seed of the record"
        return compared("gate file", what, _settings_differ(record, gate)), gate
    except ConfigurationError as error:
        return Check("gate file", "impossible", "no gate can be made of its settings", (), error.problems), None


def _settings_differ(record: DecisionRecord, gate: Gate) -> Iterator[Difference]:
    file = gate.file
    evaluators: list[dict[str, Any]] = [
        {"title": title, "kind": one.kind, "version": one.version, "settings": one.settings()}
        for title, one in gate.evaluators.items()
    ]
    expected = {
        "model": file.model,
        "seed": file.execution.seed,
        "evaluators": evaluators,
        "datasets": [_dataset(record, name, source.path) for name, source in file.data.items()],
    }
    recorded = record.model_dump(mode="json", include=set(expected))
    for one, now in zip(record.evaluators, evaluators, strict=False):
        now["settings"] = _that_there_were(one.settings, now["settings"])
    for name, value in expected.items():
        yield from differences(name, recorded[name], value)
    rules = [one.model_dump(mode="json") for one in gate.rules]
    for index, (rule, now) in enumerate(zip(record.rules, rules, strict=False)):
        yield from differences(f"rules[{index}].settings", rule.settings, _that_there_were(rule.settings, now))
    looked = [1.0] if record.look is None else list(record.look.shares)
    yield from differences("look.shares", looked, file.execution.looks)
    if file.promotion.approval == "required" and not record.approval_required:
        yield Difference("approval_required", "false", "true: the gate file says promotion.approval: required")
    if file.champion is None and record.role("champion") is not None:
        yield Difference("models", "a champion", "none: the gate file says champion: null")
    yield from _identical_differ(record)


def _that_there_were(recorded: Mapping[str, object], now: Mapping[str, object]) -> Mapping[str, object]:
    """Settings that came later are no difference: they have their defaults, by which nothing was decided otherwise."""
    return {name: value for name, value in now.items() if name in recorded}


def _dataset(record: DecisionRecord, name: str, path: str) -> object:
    """As the settings name it; digest and rows are those of the record, since data are not read."""
    known = next((one for one in record.datasets if one.name == name), None)
    digest, rows = (known.digest, known.rows) if known is not None else ("", 0)
    return DatasetRecord(name=name, file=path, digest=digest, rows=rows).model_dump(mode="json")


def _identical_differ(record: DecisionRecord) -> Iterator[Difference]:
    """As far as a record tells: it does not say on which model an adapter sits, so equal digests may be two models."""
    candidate = record.role("candidate")
    for model in record.models:
        if candidate is None or model.role not in ("base", "champion"):
            continue
        itself = model.version is not None and (model.name, model.version) == (candidate.name, candidate.version)
        said = model.role in record.identical
        if said and not itself and model.digest != candidate.digest:
            yield Difference("identical", model.role, f"not the {model.role}: its digest is not the candidate's")
        if itself and not said:
            yield Difference("identical", "nothing", f"{model.role}: it is the version under test")


def _decided(record: DecisionRecord, gate: Gate | None, table: ScoreTable | None) -> Iterator[Check]:
    names = ("measurements", "rules", "decision")
    if gate is None or table is None:
        what = "the gate file's settings" if gate is None else "the score table"
        for name in names:
            yield Check(name, "not checked", f"it rests on {what}")
        return
    try:
        again = decide_again(gate, table, circumstances_of(record, gate), levels_of(record.look))
    except (FinetuneGateError, LookupError, ValueError, ArithmeticError) as error:
        # such as a look beyond the last: no run writes that, whatever else may be wrong with it
        yield compared(names[0], "measured again", [Difference("record", f"{error}", "what a run can have decided")])
        for name in names[1:]:
            yield Check(name, "not checked", "it rests on the measurements")
        return
    recorded = record.model_dump(mode="json", include={"measurements", "rules"}, exclude=_SETTINGS)
    measurements = [one.model_dump(mode="json") for one in again.measurements()]
    rules = [one.model_dump(mode="json", exclude={"settings"}) for one in again.rules()]
    yield compared(
        "measurements",
        f"all {len(measurements)}, measured again",
        differences("measurements", recorded["measurements"], measurements),
    )
    yield compared("rules", f"all {len(rules)}, judged again", differences("rules", recorded["rules"], rules))
    yield compared("decision", "verdict and sentence", _decision_differs(record, again))


def _decision_differs(record: DecisionRecord, again: Again) -> Iterator[Difference]:
    decision = again.decision
    expected = {
        "decision": decision.verdict,
        "sentence": decision.sentence,
        "awaits_approval": decision.awaits_approval,
    }
    for name, value in expected.items():
        yield from differences(name, getattr(record, name), value)
    if record.look is not None:
        yield from differences("look.stopped", record.look.stopped, again.stopped)
