"""The seven steps of a run. Each takes what the earlier ones returned; only ``act`` changes what serves."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.evaluators.evaluator import ExplainedEvaluator, JudgedEvaluator
from finetune_gate.evaluators.findings import Findings
from finetune_gate.evaluators.scores import ScoreTable, score_evaluator

from ..answers import ModelKey, StoreLimits, open_answers, shared_answers
from ..attesting.keys import signing_key
from ..budget import Purse
from ..deciding import Circumstances
from ..gate_file import Gate, load_data, load_gate_file
from ..history import earlier_uses
from ..models import open_models
from ..models.protocol import Model
from ..pins import Pins, Role, identical_baselines
from ..progress import Progress, Silent
from ..record import ActionRecord, read_record, write_bytes_atomically, write_record
from ..registry import Author, LedgerPromotion, Move, Promoter, Registry, Tracking
from ..registry.registered import Spelling, parse_spelling
from ..reports import render_html, render_markdown
from .answering import Asking, answer_plan
from .attested_files import write_attested
from .earlier_gates import earlier_gates, keep_history
from .evidence import evidence_files, write_evidence
from .files_again import files_changed
from .judging import decide_at_look
from .looks import Levels
from .measuring import measure_gate
from .plan import Plan, make_plan
from .prices import prices_of
from .recording import build_record, run_key, run_name, run_tags
from .reviewing import review_that_counts
from .shards import RunOn
from .shown import shown_examples
from .standing import left_unpublished, settle_aloud, telling_where_the_alias_is
from .states import (
    HISTORY_FILE,
    MARKDOWN_FILE,
    RECORD_FILE,
    REPORT_FILE,
    Acted,
    Decided,
    GateRequest,
    ModelAnswers,
    Resolved,
    Scored,
)
from .telling_mlflow import tell_mlflow


def resolve(
    request: GateRequest,
    downloads: Path,
    started: datetime,
    *,
    settle: bool = False,
    progress: Progress | None = None,
) -> Resolved:
    """Pin gate file, data and models. Nothing later asks the registry what is latest. ``settle``: bring alias and
    promotion ledger together first, so that an earlier move that was interrupted is complete; ``progress`` is told."""
    gate = load_gate_file(request.gate_file)
    data = load_data(gate)
    signing_key()  # refuses one that cannot sign before anything is asked or moved
    registry = Registry.connect(request.tracking_uri)
    settled = settle_aloud(_promoter(registry, request), gate, progress or Silent()) if settle else None
    pins = registry.resolve(
        gate.file.model,
        request.candidate,
        base=request.base or _beside(gate),
        champion=gate.file.champion,
        downloads=downloads,
        allow_files=gate.file.allow_files,
        endpoints=gate.file.endpoints,
        trust_code=gate.file.trust == "code",
        judges=judges_of(gate),
    )
    if request.base:
        pins = replace(pins, base=replace(pins.base, origin="command line"))
    if request.candidate_origin:
        pins = replace(pins, candidate=replace(pins.candidate, origin=request.candidate_origin))
    prices_of(gate.file, pins)  # refuses a model without a price before anything is asked
    alias_at = _alias_at(registry, gate, pins)
    deeds = tuple(deed.said for deed in settled.deeds) if settled else ()
    if settled and not deeds and alias_at == pins.candidate.version:
        deeds = left_unpublished(registry, pins.candidate, gate.file.promotion.alias)
    key = run_key(request, gate, data, pins)
    return Resolved(
        request=request,
        gate=gate,
        data=data,
        registry=registry,
        pins=pins,
        identical=identical_baselines(pins),
        alias_at=alias_at,
        generation=settled.standing.generation if settled else 0,
        settled=deeds,
        key=key,
        today=started.date(),
        started=started,
        folder=request.out / key[:12],
        downloads=downloads,
    )


def _promoter(registry: Registry, request: GateRequest) -> LedgerPromotion:
    return LedgerPromotion(registry, Author(request.actor, request.trigger))


def judges_of(gate: Gate) -> tuple[str, ...]:
    """The addresses of all judges, each once, in the order in which evaluators name them."""
    judged = [one for one in gate.evaluators.values() if isinstance(one, JudgedEvaluator)]
    return tuple(dict.fromkeys(judge for evaluator in judged for judge in evaluator.judges()))


def _beside(gate: Gate) -> str:
    """The gate file's ``base``; a folder is relative to the gate file."""
    folder = gate.folder / gate.file.base
    return str(folder) if ":" not in gate.file.base and folder.is_dir() else gate.file.base


def _alias_at(registry: Registry, gate: Gate, pins: Pins) -> str | None:
    """Which version the promotion alias may be moved away from. Refuses a champion that is named and not there."""
    alias, champion = gate.file.promotion.alias, gate.file.champion
    if champion is not None and parse_spelling(champion, gate.file.model, "champion") == Spelling("alias", alias):
        return pins.champion.version if pins.champion else None
    serves = registry.alias_version(gate.file.model, alias)
    if champion is not None and pins.champion is None and serves is not None:
        raise ConfigurationError(
            Problem(
                "champion",
                f"{gate.file.model} has no {champion!r}, while alias {alias!r} points to version {serves}",
                "the version that serves, to compare with before it is replaced",
                f'champion: "@{alias}", or null if none is to be compared with',
            )
        )
    return serves


def plan(resolved: Resolved) -> Plan:
    return make_plan(resolved.gate.evaluators.values(), resolved.data)


def purse_of(resolved: Resolved) -> Purse:
    """What the run may spend, however often it looks."""
    return Purse(resolved.gate.file.budget, prices_of(resolved.gate.file, resolved.pins))


def answer(
    resolved: Resolved, plan: Plan, progress: Progress, run_on: RunOn, purse: Purse | None = None
) -> ModelAnswers:
    """Ask every model what the store does not hold. A run killed here goes on from the last finished shard."""
    pins, execution = resolved.pins, resolved.gate.file.execution
    labels = {name: pin.label for name, pin in pins.by_name().items()}
    purse = purse or purse_of(resolved)
    with open_models_of(resolved, purse) as models:
        keys = [ModelKey(model.digest, labels[name]) for name, model in models.items()]
        shared = shared_answers(execution.store, resolved.registry.connection)
        limits = StoreLimits.from_environment()
        with (
            open_answers(resolved.request.home, keys, shared=shared, limits=limits, say=progress.say) as store,
            run_on(pins, execution) as runner,
        ):
            asking = Asking(models, store, progress, labels, runner, purse, execution.seed)
            roles: list[Role] = [pin.role for pin in pins.roles()]
            answered = answer_plan(asking, roles, plan, resolved.gate.evaluators.values(), resolved.data)
        return ModelAnswers(answered, {name: dict(model.facts()) for name, model in models.items()})


@contextmanager
def open_models_of(resolved: Resolved, purse: Purse | None = None) -> Generator[Mapping[str, Model]]:
    """Every model of the run, by role or judge, as the gate file wants them run."""
    execution = resolved.gate.file.execution
    with open_models(
        resolved.pins,
        device=execution.device,
        dtype=execution.dtype,
        batch_tokens=execution.batch_tokens,
        endpoints=resolved.gate.file.endpoints,
        purse=purse,
    ) as models:
        yield models


def score(resolved: Resolved, answers: ModelAnswers) -> Scored:
    """Pure: answers in, per-example scores out, and what they have to show and to read."""
    slices = resolved.gate.slice_columns
    given, verdicts = {**answers.answered.answers}, answers.answered.verdicts
    evaluators = resolved.gate.evaluators
    table = ScoreTable(
        tuple(score_evaluator(one, resolved.data, given, slices, verdicts) for one in evaluators.values())
    )
    found = {
        title: tuple(one.findings(resolved.data, given, verdicts))
        for title, one in evaluators.items()
        if isinstance(one, ExplainedEvaluator)
    }
    examples = shown_examples(resolved.gate, resolved.data, given, verdicts)
    return Scored(table, Findings({title: some for title, some in found.items() if some}), examples)


def decide(resolved: Resolved, answers: ModelAnswers, table: ScoreTable, levels: Levels | None = None) -> Decided:
    """Pure: scores and rules in, decision out. ``levels`` are those of the look that the scores are of."""
    measured = measure_gate(resolved.gate, table, levels)
    circumstances = Circumstances(
        has_champion=resolved.pins.champion is not None,
        identical=resolved.identical,
        today=resolved.today,
        review=review_that_counts(resolved, table),
        review_waives=resolved.gate.file.review.wait == "hold",
        approval_required=resolved.request.approval or resolved.gate.file.promotion.approval == "required",
    )
    decision, stopped = decide_at_look(resolved.gate, measured, circumstances, levels)
    return Decided(decision, circumstances, measured, answers, levels, stopped)


def act(
    resolved: Resolved, decided: Decided, scored: Scored, seconds: Mapping[str, float], progress: Progress | None = None
) -> Acted:
    """Evidence first, then the alias: what is promoted has its record in MLflow before it serves. Raises RegistryError
    that says where the alias is, where the registry fails."""
    with telling_where_the_alias_is(resolved):
        return _act(resolved, decided, scored, seconds, progress or Silent())


def _act(
    resolved: Resolved, decided: Decided, scored: Scored, seconds: Mapping[str, float], progress: Progress
) -> Acted:
    promotion = resolved.gate.file.promotion
    tracking = Tracking(resolved.registry)
    promoter: Promoter = _promoter(resolved.registry, resolved.request)
    digests = {name: found.digest for name, found in resolved.data.items()}
    uses = earlier_uses(tracking.past_runs(resolved.gate.file.model), digests, resolved.key)
    record = build_record(resolved, decided, scored, seconds, uses)
    run_id = tracking.open_run(resolved.gate.file.model, resolved.key, run_name(record), run_tags(record))
    address = tracking.record_address(run_id, RECORD_FILE)
    write_evidence(resolved, record, scored)
    attested = write_attested(record, resolved.folder)
    tracking.log_files(run_id, [resolved.folder / name for name in (*attested, *evidence_files(resolved, record))])

    before = resolved.alias_at
    now = resolved.registry.alias_version(resolved.gate.file.model, promotion.alias)
    serves = now is not None and now == resolved.pins.candidate.version
    detail = "the candidate already serves, and was left where it is" if serves else ""
    action = ActionRecord(outcome="none", alias=promotion.alias, before=now, after=now, detail=detail)
    if resolved.request.dry_run:
        action = action.model_copy(update={"outcome": "dry_run", "detail": "dry run: nothing was changed"})
    elif record.decision == "promote" and (changed := files_changed(resolved, progress)) is not None:
        detail = "; ".join(said for said in (changed, detail) if said)
        action = action.model_copy(update={"outcome": "digest_changed", "detail": detail})
        record = build_record(resolved, _decide_again(resolved, decided, files_changed=changed), scored, seconds, uses)
    elif record.decision == "promote":
        move = promoter.promote(
            resolved.pins,
            promotion.alias,
            promotion.stage,
            record.digest(),
            address,
            expected=before,
            generation=resolved.generation,
            reason=record.sentence,
        )
        action = _action(move)
        if move.outcome == "stale":
            again = _decide_again(resolved, decided, champion_moved=move.detail)
            record = build_record(resolved, again, scored, seconds, uses)
    record = record.model_copy(update={"run": record.run.model_copy(update={"action": action, "run_id": run_id})})
    write_record(record, resolved.folder / RECORD_FILE)  # its statements follow as it is published
    if not resolved.request.dry_run:
        promoter.note(
            resolved.pins,
            record.decision,
            record.sentence,
            address,
            record.digest(),
            alias=promotion.alias,
            generation=resolved.generation,
        )
    return Acted(record, run_id, address, promoter)


def publish(resolved: Resolved, acted: Acted, scored: Scored, seconds: Mapping[str, float]) -> tuple[str, str | None]:
    """Write the final record and the reports, log them and the metrics, and close the run."""
    record = acted.record
    run = record.run.model_copy(update={"seconds": dict(seconds)})
    attested = write_attested(record.model_copy(update={"run": run}), resolved.folder)
    record = read_record(resolved.folder / RECORD_FILE)  # what is rendered is what is kept
    tracking = Tracking(resolved.registry)
    history = earlier_gates(tracking, record.model, acted.run_id)
    keep_history(history, resolved.folder / HISTORY_FILE)
    page = render_html(record, scored.table, scored.findings, scored.examples, history)
    write_bytes_atomically(resolved.folder / REPORT_FILE, f"{page}\n".encode())
    write_bytes_atomically(resolved.folder / MARKDOWN_FILE, render_markdown(record).encode())
    written = (*attested, *evidence_files(resolved, record), REPORT_FILE, MARKDOWN_FILE)
    files = [resolved.folder / name for name in written]
    tracking.log_files(acted.run_id, files)
    tell_mlflow(resolved, record, scored, acted.run_id)
    tracking.finish_run(acted.run_id, "FINISHED")
    if not resolved.request.dry_run:
        acted.promoter.finish(resolved.pins)
    return acted.address, tracking.run_url(acted.run_id)


def _decide_again(
    resolved: Resolved, decided: Decided, *, champion_moved: str | None = None, files_changed: str | None = None
) -> Decided:
    """The champion is no longer the one that was compared with, or the candidate not what was judged: the same
    evidence, under other circumstances."""
    circumstances = replace(decided.circumstances, champion_moved=champion_moved, files_changed=files_changed)
    decision, _ = decide_at_look(resolved.gate, decided.measured, circumstances, decided.levels)
    return replace(decided, decision=decision, circumstances=circumstances)


def _action(move: Move) -> ActionRecord:
    return ActionRecord(
        outcome=move.outcome, alias=move.alias, before=move.before, after=move.after, detail=move.detail
    )
