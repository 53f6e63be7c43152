"""Make a plan: pin everything as a run does, look into the answer store, and measure how fast local models are.

    kept = plan_gate(GateRequest(gate_file=Path("gate.yaml"), candidate="7"), progress=Silent())
    kept.plan.models[0].left.requests

Nothing is sent to an API, and nothing is changed in the registry. Models of a remote registry are brought here, as a
run brings them: their tokenizers count the tokens.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from finetune_gate.evaluators.asking import Ability, Answer, ChooseRequest, Failed, Request, ScoreRequest
from finetune_gate.evaluators.evaluator import JudgedEvaluator

from ..answers import STORE_FILE, AnswerStore, ModelKey, StoreLimits, shared_answers
from ..answers.sharing import Sharing
from ..kinship import kin_of_judges, kinship_warning
from ..limits import given_limits
from ..models.protocol import Model
from ..pins import Endpoint, ModelFiles, ModelPin, PythonModel, Role, Sandbox
from ..progress import Progress
from ..run import steps
from ..run.downloads import downloads_under
from ..run.plan import Plan, make_second_plan
from ..run.prices import priced_nothing, prices_of
from ..run.states import GateRequest, Resolved
from .cache import KeptModel, KeptPlan, KeptShard, seconds_of
from .calibration import measure_speed
from .planned import (
    GatePlan,
    Left,
    PlannedBudget,
    PlannedJudge,
    PlannedModel,
    PlannedPrice,
    Seconds,
    Speed,
    Unknown,
    together,
)
from .sensitivity import plan_rules, small_samples
from .sequential import looks_note
from .spending import judges_left, spending_within
from .work import Work, addresses_of, work_on


def plan_gate(request: GateRequest, *, progress: Progress, calibrate: bool = True) -> KeptPlan:
    """What a run would do now. Raises ConfigurationError and EvaluationError where it could not begin."""
    now = datetime.now(UTC)
    with downloads_under(request.home) as downloads:
        progress.say("resolve: pin candidate, base, champion, gate file and data")
        resolved = steps.resolve(request, downloads, now)
        progress.say("plan: unite what the evaluators ask, and look into the answer store")
        plan = steps.plan(resolved)
        with (
            steps.open_models_of(resolved) as models,
            AnswerStore(request.home / STORE_FILE, progress.say) as store,
        ):
            _bring_answers(resolved, models, store, progress)
            return _Planning(resolved, plan, models, store, progress, calibrate).kept(now)


def _bring_answers(resolved: Resolved, models: Mapping[str, Model], store: AnswerStore, progress: Progress) -> None:
    """What a shared place holds of these models. Nothing goes the other way, and nothing is pruned: that is a run's."""
    shared = shared_answers(resolved.gate.file.execution.store, resolved.registry.connection)
    if shared is not None:
        pins = resolved.pins.by_name()
        keys = [ModelKey(model.digest, pins[name].label) for name, model in models.items()]
        Sharing(store, shared, keys, progress.say, StoreLimits.from_environment().max_bytes).pull()


@dataclass(slots=True)
class _Planning:
    resolved: Resolved
    plan: Plan
    models: Mapping[str, Model]
    store: AnswerStore
    progress: Progress
    calibrate: bool
    work: dict[str, Work] = field(default_factory=dict[str, Work])
    asked: dict[str, int] = field(default_factory=dict[str, int])
    known: dict[str, Mapping[Request, Answer]] = field(default_factory=dict[str, Mapping[Request, Answer]])

    def kept(self, now: datetime) -> KeptPlan:
        resolved, pins = self.resolved, self.resolved.pins
        for pin in pins.roles():
            self._look(pin.role, self.plan.requests)
        judges = self._look_at_judges()
        baselines: dict[Role, Mapping[Request, Answer]] = {pin.role: self.known[pin.role] for pin in pins.roles()[1:]}
        rules = plan_rules(resolved.gate, resolved.data, baselines)
        speeds = {name: self._speed(name) for name in self.work}
        models = tuple(self._model(name, speeds) for name in self.asked)
        plan = GatePlan(
            model=resolved.gate.file.model,
            gate_file=str(resolved.request.gate_file),
            planned_at=now.isoformat(timespec="seconds"),
            wanted=self.plan.wanted,
            different=len(self.plan.requests),
            models=models,
            judges=judges,
            seconds=together(models),
            rules=rules,
            warnings=(*self._warnings(), *small_samples(rules)),
            notes=tuple(self._notes(models)),
            budget=self._budget(models, judges),
        )
        return KeptPlan(
            made=time.time(), plan=plan, models={name: self._keep(name, speeds[name]) for name in self.work}
        )

    def _look(self, name: str, requests: Sequence[Request]) -> None:
        model = self.models[name]
        addresses = addresses_of(model, requests)
        held = self.store.get(list(addresses.values()))
        self.asked[name] = len(requests)
        self.known[name] = {request: held[address] for request, address in addresses.items() if address in held}
        if self._twin(name) is None:
            self.work[name] = work_on(model, addresses, self._abilities(name), held)

    def _twin(self, name: str) -> str | None:
        """The role listed before ``name`` that is the same model: it is asked, and ``name`` finds its answers."""
        roles = [pin.role for pin in self.resolved.pins.roles()]
        before = roles[: roles.index(name)] if name in roles else []
        return next((role for role in before if self.models[role] is self.models[name]), None)

    def _abilities(self, name: str) -> frozenset[Ability]:
        """Of an API without asking it: chats score no given text, and completions may; both may choose."""
        files = self._pin(name).files
        if isinstance(files, Endpoint):
            chat = files.api == "chat"
            return frozenset(("generates", "chooses") if chat else ("generates", "scores_tokens", "chooses"))
        return self.models[name].abilities

    def _pin(self, name: str) -> ModelPin:
        return self.resolved.pins.by_name()[name]

    def _look_at_judges(self) -> tuple[PlannedJudge, ...]:
        """Once all models have answered, what judges are asked is known like anything else."""
        evaluators = self.resolved.gate.evaluators.values()
        judged = [evaluator for evaluator in evaluators if isinstance(evaluator, JudgedEvaluator)]
        if not any(work.left.requests for work in self.work.values()):
            lacking = Failed("the model lacks the ability to answer")
            answers = {
                name: {request: known.get(request, lacking) for request in self.plan.requests}
                for name, known in self.known.items()
            }
            for judge, requests in make_second_plan(judged, self.resolved.data, answers).items():
                self._look(judge, requests)
            return ()
        left = self._judges_left(judged)
        return tuple(
            PlannedJudge(
                name=name,
                label=self._pin(name).label,
                runs_on=self._runs_on(name),
                calls_at_most=most,
                **({"left": left[name]} if name in left else {}),
            )
            for name, most in self.plan.judge_calls.items()
        )

    def _judges_left(self, judged: Sequence[JudgedEvaluator]) -> dict[str, Left | Unknown]:
        """Of judges behind APIs, where there is a budget to compare it with."""
        if self.resolved.gate.file.budget is None:
            return {}
        judges = {
            name: (self.models[name], most)
            for name, most in self.plan.judge_calls.items()
            if isinstance(self._pin(name).files, Endpoint)
        }
        return judges_left(judged, self.resolved.data, self.plan.requests, self.known, judges) if judges else {}

    def _budget(self, models: Sequence[PlannedModel], judges: Sequence[PlannedJudge]) -> PlannedBudget | None:
        file, pins = self.resolved.gate.file, self.resolved.pins.by_name()
        if file.budget is None:
            return None
        prices = prices_of(file, self.resolved.pins)
        given = {
            name: PlannedPrice(input=price.input, output=price.output)
            for name, pin in pins.items()
            if (price := prices.get(pin.files.digest)) is not None
        }
        budget = PlannedBudget(
            limits=given_limits(file.budget),
            currency=file.budget.currency,
            prices=given,
            apis=tuple(name for name, pin in pins.items() if isinstance(pin.files, Endpoint)),
        )
        return spending_within(budget, models, judges)

    def _speed(self, name: str) -> Speed | Unknown:
        files = self._pin(name).files
        if isinstance(files, Endpoint):
            return Unknown(unknown="not calibrated: nothing is sent to an API by a plan")
        if isinstance(files, PythonModel):
            return Unknown(unknown="not calibrated: a plan runs no code that comes with a model")
        if isinstance(files, Sandbox):
            return Unknown(unknown="not calibrated: a plan runs no program that a model wrote")
        if not self.calibrate:
            return Unknown(unknown="not calibrated, as asked")
        work, model = self.work[name], self.models[name]
        if not work.left.requests:
            return Unknown(unknown="nothing to compute")
        self.progress.say(f"calibrate {name}: load it, and answer a small sample")
        batch_tokens = model.facts().get("batch_tokens")
        assert isinstance(batch_tokens, int), "local models say how many tokens a batch has"
        speed = measure_speed(model, work, batch_tokens, self.resolved.gate.file.execution.seed)
        model.release()
        return speed

    def _runs_on(self, name: str) -> str:
        files = self._pin(name).files
        if isinstance(files, Endpoint):
            return files.base_url
        if isinstance(files, PythonModel):
            return "Python code of its own, apart"
        if isinstance(files, Sandbox):
            return f"runs programs, kept in by {files.backend if files.backend != 'auto' else 'what this machine has'}"
        facts = self.models[name].facts()
        return f"{facts.get('device')}, {facts.get('dtype')}"

    def _model(self, name: str, speeds: Mapping[str, Speed | Unknown]) -> PlannedModel:
        pin, same = self._pin(name), self._twin(name)
        work = self.work[same or name]
        mine = () if same else work.pieces
        return PlannedModel(
            role=pin.role,
            name=name,
            label=pin.label,
            runs_on=self._runs_on(name),
            requests=self.asked[name],
            stored=work.stored,
            unable=work.unable,
            left=Work(mine, 0, 0).left,
            seconds=seconds_of(speeds[same or name], [piece.size for piece in mine]),
            same_as=same,
        )

    def _keep(self, name: str, speed: Speed | Unknown) -> KeptModel:
        pieces = self.work[name].pieces
        shards = tuple(KeptShard(held=piece.held, missing=piece.missing, size=piece.size) for piece in pieces)
        return KeptModel(speed=speed, shards=shards)

    def _warnings(self) -> list[str]:
        pins = self.resolved.pins
        found = [
            f"the candidate's files are identical to the {role}'s: no run promotes it"
            for role in self.resolved.identical
        ]
        if pins.champion_note:
            found.append(pins.champion_note)
        behind_apis = {name: pin.files.model for name, pin in pins.by_name().items() if isinstance(pin.files, Endpoint)}
        roles = {pin.role for pin in pins.roles()}
        judged = {name: model for name, model in behind_apis.items() if name in roles}
        judges = {name: model for name, model in behind_apis.items() if name not in roles}
        found += [kinship_warning(judge, kin) for judge, kin in kin_of_judges(judged, judges).items()]
        found += [
            f"budget.prices: no model of this run is {address}"
            for address in priced_nothing(self.resolved.gate.file, pins)
        ]
        for name, work in self.work.items():
            files = self._pin(name).files
            left = [request for piece in work.pieces for request in piece.left]
            if work.unable:
                found.append(
                    f"{name} cannot answer {work.unable:,} of {self.asked[name]:,} requests: "
                    "metrics that need them will be unmeasured"
                )
            elif isinstance(files, Endpoint) and any(isinstance(one, ScoreRequest | ChooseRequest) for one in left):
                found.append(f"whether the API of {name} gives the log-probabilities to ask for is found out by a run")
        return found

    def _notes(self, models: Sequence[PlannedModel]) -> list[str]:
        notes: list[str] = []
        if any(model.left.written for model in models):
            notes.append("texts are counted at their full length; they may end earlier")
        if guessed := [model.name for model in models if not model.left.exact]:
            notes.append(f"tokens of {' and '.join(guessed)} are estimated from the length of the text")
        timed = [model for model in models if isinstance(model.seconds, Seconds)]
        if timed and len(timed) < len(models):
            left_out = " and ".join(model.name for model in models if model not in timed)
            notes.append(f"the time together leaves out {left_out}")
        if any(isinstance(self._pin(model.name).files, ModelFiles) and model.left.requests for model in timed):
            notes.append("times are of this machine, left alone; other work on it slows a run down")
        runner = self.resolved.gate.file.execution.runner
        if runner != "local" and timed:
            notes.append(f"times are of one process; {runner} spreads the work over its workers")
        if len(looks := self.resolved.gate.file.execution.looks) > 1:
            notes.append(looks_note(looks))
        return notes
