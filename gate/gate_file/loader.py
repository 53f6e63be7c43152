"""Read and check a gate file. Every fault is reported in one go: line, key path, found, expected, suggestion."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

from pydantic import BaseModel, ValidationError

from finetune_gate.evaluators.catalog import evaluator_class, is_known, kinds
from finetune_gate.evaluators.datasets import Dataset, load_dataset
from finetune_gate.evaluators.errors import ConfigurationError, DatasetError, Problem
from finetune_gate.evaluators.evaluator import Evaluator, RatedEvaluator
from finetune_gate.evaluators.metrics import Metric

from .budgets import budget_problems
from .rules import Rule
from .settings import Gate, GateFile
from .strict_yaml import Document, read_yaml

Keys = tuple[str | int, ...]


def load_gate_file(path: Path) -> Gate:
    """Raises ConfigurationError with every problem of the file."""
    document = read_yaml(path)
    problems: list[Problem] = []
    settings: GateFile | None = None
    try:
        settings = GateFile.model_validate(document.value)
    except ValidationError as error:
        problems += _problems(document, error, GateFile)
    evaluators = _build_evaluators(document, problems)
    problems += _unknown_names(document, evaluators)
    if settings is not None:
        problems += _empty_bounds(document, settings.rules, evaluators)
        problems += budget_problems(settings, evaluators.values(), lambda keys: _place(document, keys))
        problems += _wrong_subjects(document, settings.rules, evaluators)
    if problems or settings is None:
        raise ConfigurationError(*problems)
    digest = hashlib.sha256(document.content).hexdigest()
    rules = (*settings.rules, *_limits(settings.rules, evaluators))
    return Gate(path.resolve(), digest, settings, evaluators, rules)


def load_data(gate: Gate) -> Mapping[str, Dataset]:
    """Read every dataset of the gate file and check that each evaluator can use its own.

    Raises DatasetError with the faults of all datasets.
    """
    data: dict[str, Dataset] = {}
    problems: list[Problem] = []
    for name, source in gate.file.data.items():
        try:
            data[name] = load_dataset(name, source, gate.folder)
        except DatasetError as error:
            problems += error.problems
    for evaluator in gate.evaluators.values():
        if all(name in data for name in evaluator.reads()):
            problems += _without_rows(evaluator, data) or evaluator.check(data)
    problems += _unknown_slices(gate, data)
    if problems:
        raise DatasetError(*problems)
    return data


def _without_rows(evaluator: Evaluator, data: Mapping[str, Dataset]) -> list[Problem]:
    """Optional datasets that are empty although the evaluator needs examples. Ratings may still be to come."""
    ratings = evaluator.reads_ratings() if isinstance(evaluator, RatedEvaluator) else ()
    return [
        Problem(
            f"data.{name} ({data[name].path})", f"no rows, and {evaluator.title} needs some", "at least one example"
        )
        for name in evaluator.reads()
        if name not in ratings and not data[name].examples
    ]


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """``did you mean 'accuracy'?`` where something is close, else what there is."""
    options = sorted(map(str, known))
    close = difflib.get_close_matches(wrong, options, n=1)
    return f"did you mean {close[0]!r}?" if close else f"one of {', '.join(options) or 'none'}"


def _key_path(keys: Sequence[str | int]) -> str:
    path = ""
    for key in keys:
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
    return path


def _place(document: Document, keys: Sequence[str | int]) -> str:
    return f"{document.path}:{document.line(keys)} {_key_path(keys)}".rstrip()


def _problems(document: Document, error: ValidationError, model: type[BaseModel], prefix: Keys = ()) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[tuple[object, ...]] = set()
    for fault in error.errors(include_url=False):
        location = tuple(key for key in fault["loc"] if not _is_union_branch(key))
        keys = (*prefix, *location)
        where = _place(document, keys)
        if fault["type"] == "extra_forbidden":
            way_out = suggestion(str(location[-1]), _known_keys(model, location[:-1]))
            problem = Problem(where, f"unknown key {location[-1]!r}", way_out=way_out)
        elif fault["type"] == "missing":
            problem = Problem(where, f"{location[-1]!r} is missing")
        else:
            message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            found = cast("object", fault["input"])
            if isinstance(found, (dict, list)) and fault["type"] == "value_error":
                problem = Problem(where, message)
            else:
                problem = Problem(where, _shown(cast("object", found)), message)
        if (where, problem.found) not in seen:
            seen.add((where, problem.found))
            problems.append(problem)
    return problems


def _shown(found: object) -> str:
    if isinstance(found, int) and found.bit_length() > 256:
        return "a number of hundreds of digits"
    return repr(found)[:120]


def _is_union_branch(key: str | int) -> bool:
    """pydantic names the branch of a union that it tried, such as ``constrained-float``; people did not write that."""
    return isinstance(key, str) and (key.startswith(("constrained-", "literal[", "function-")) or key == "none")


def _known_keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that would have been accepted at ``location``."""
    found: type[BaseModel] | None = model
    for key in location:
        if isinstance(key, str) and found is not None and key in found.model_fields:
            found = next(iter(_models_in(found.model_fields[key].annotation)), None)
    return [field.alias or name for name, field in found.model_fields.items()] if found is not None else []


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _build_evaluators(document: Document, problems: list[Problem]) -> dict[str, Evaluator]:
    built: dict[str, Evaluator] = {}
    for index, entry in enumerate(_items(_mapping(document.value).get("evaluators"))):
        keys: Keys = ("evaluators", index)
        if len(_mapping(entry)) != 1:
            shown = "- classification: {data: holdout, labels: [a, b]}"
            problems.append(Problem(_place(document, keys), repr(entry)[:80], f"one evaluator, such as {shown}"))
            continue
        ((kind, settings),) = _mapping(entry).items()
        if not is_known(str(kind)):
            way_out = suggestion(str(kind), kinds())
            problems.append(Problem(_place(document, keys), f"unknown evaluator {kind!r}", way_out=way_out))
            continue
        try:
            found = evaluator_class(str(kind))
        except ConfigurationError as error:
            problems += [replace(one, where=f"{_place(document, keys)}: {one.where}") for one in error.problems]
            continue
        try:
            evaluator = cast("Evaluator", found.model_validate(settings))
        except ValidationError as error:
            problems += _problems(document, error, found, (*keys, kind))
            continue
        if evaluator.title in built:
            way_out = f"give one of them a `name:`, such as {evaluator.title}_2"
            problems.append(
                Problem(
                    _place(document, keys), f"a second evaluator called {evaluator.title!r}", "unique names", way_out
                )
            )
            continue
        built[evaluator.title] = evaluator
    return built


def _dataset_settings(kind: str) -> tuple[str, ...]:
    """Which settings of an evaluator are names of datasets; none where it is not known."""
    try:
        return evaluator_class(kind).datasets_in if is_known(kind) else ()
    except ConfigurationError:
        return ()


def _limits(rules: Sequence[Rule], evaluators: Mapping[str, Evaluator]) -> list[Rule]:
    """Rules for the metrics that bring a limit of their own, unless the file says something else of them."""
    spoken_of = {rule.metric for rule in rules}
    return [
        Rule(metric=name, min=metric.limit) if metric.higher_is_better else Rule(metric=name, max=metric.limit)
        for name, metric in _metrics(evaluators).items()
        if metric.limit is not None and name not in spoken_of
    ]


def _unknown_names(document: Document, evaluators: Mapping[str, Evaluator]) -> list[Problem]:
    """Names that refer to nothing; read from the raw document, so that they show beside faults of other kinds."""
    top = _mapping(document.value)
    data = _mapping(top.get("data"))
    entries = _items(top.get("evaluators"))
    problems: list[Problem] = []
    for index, entry in enumerate(entries):
        for kind, settings in _mapping(entry).items():
            for key, wanted in _mapping(settings).items():
                if isinstance(wanted, str) and data and wanted not in data and key in _dataset_settings(str(kind)):
                    where = _place(document, ("evaluators", index, kind, key))
                    problems.append(Problem(where, f"no dataset {wanted!r}", way_out=suggestion(wanted, data)))
    known = _metrics(evaluators)
    rules = [_mapping(rule) for rule in _items(top.get("rules"))]
    for index, rule in enumerate(rules):
        metric = rule.get("metric")
        if isinstance(metric, str) and len(evaluators) == len(entries) and metric not in known:
            where = _place(document, ("rules", index, "metric"))
            problems.append(Problem(where, f"unknown metric {metric!r}", way_out=suggestion(metric, known)))
        if rule.get("against") == "champion" and "champion" in top and top["champion"] is None:
            where = _place(document, ("rules", index, "against"))
            problems.append(Problem(where, "against: champion, and `champion` is null", "a champion to compare with"))
    if rules and all(rule.get("severity") == "warn" for rule in rules):
        where = _place(document, ("rules",))
        way_out = "without one, no version could ever be promoted"
        problems.append(Problem(where, "every rule is a warning", "at least one blocking rule", way_out))
    return problems


def _empty_bounds(document: Document, rules: Sequence[Rule], evaluators: Mapping[str, Evaluator]) -> list[Problem]:
    """Bounds that every value of a metric fulfils, or none can: 90 for a share, a margin of two for two points."""
    metrics = _metrics(evaluators)
    problems: list[Problem] = []
    for index, rule in enumerate(rules):
        metric = metrics.get(rule.metric)
        if metric is None:
            continue
        low, high = metric.low, metric.high
        key, found, expected = "min_change", 0.0, ""
        if rule.min is not None:
            key, found = "min", rule.min
            if (low is not None and found <= low) or (high is not None and found > high):
                expected = f"above {low:g}" if high is None else f"above {low:g}, up to {high:g}"
            if not metric.higher_is_better:
                expected = "max: lower values of this metric are better"
        elif rule.max is not None:
            key, found = "max", rule.max
            if (high is not None and found >= high) or (low is not None and found < low):
                expected = f"at least {low:g}" if high is None else f"at least {low:g}, below {high:g}"
            if metric.higher_is_better:
                expected = "min: higher values of this metric are better"
        elif low is not None and high is not None:
            found = (rule.min_change or 0.0) - (rule.margin or 0.0)
            key = "margin" if rule.margin else "min_change"
            if abs(found) >= high - low:
                expected = f"less than the metric's whole range, {high - low:g}"
        if expected:
            where = _place(document, ("rules", index, key))
            problems.append(Problem(where, f"{found:g} for {rule.metric}", expected, "as it is, it decides nothing"))
    return problems


def _wrong_subjects(document: Document, rules: Sequence[Rule], evaluators: Mapping[str, Evaluator]) -> list[Problem]:
    """Bounds that make no sense for what a metric is about, and requirements that cannot be looked up."""
    metrics = _metrics(evaluators)
    problems: list[Problem] = []
    for index, rule in enumerate(rules):
        metric = metrics.get(rule.metric)
        if metric is None:
            continue
        about = {"model": "each model", "pair": "the candidate beside a baseline", "run": "the run as a whole"}
        if rule.min_change is not None and metric.subject != "model":
            where = _place(document, ("rules", index, "min_change"))
            found = f"{rule.min_change:g} for {rule.metric}, which is about {about[metric.subject]}"
            problems.append(Problem(where, found, "min or max"))
        elif rule.against is not None and rule.min_change is None and metric.subject != "pair":
            where = _place(document, ("rules", index, "against"))
            found = f"{rule.against!r}, and {'min' if rule.min is not None else 'max'} bounds the candidate's own value"
            problems.append(Problem(where, found, "min_change, or no against"))
        for name in rule.requires:
            where = _place(document, ("rules", index, "requires", name))
            if name not in metrics:
                problems.append(Problem(where, f"unknown metric {name!r}", way_out=suggestion(name, metrics)))
            elif metrics[name].subject == "pair":
                problems.append(Problem(where, f"{name!r} is about pairs of models", "a metric with one value"))
    return problems


def _metrics(evaluators: Mapping[str, Evaluator]) -> dict[str, Metric]:
    """Every metric by the name that rules use."""
    return {f"{title}.{metric.name}": metric for title, one in evaluators.items() for metric in one.metrics()}


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _unknown_slices(gate: Gate, data: Mapping[str, Dataset]) -> list[Problem]:
    problems: list[Problem] = []
    for index, rule in enumerate(gate.rules):
        evaluator = gate.evaluators[rule.metric.partition(".")[0]]
        if rule.slice and all(name in data for name in evaluator.reads()):
            problems += _slice_problems(index, rule, evaluator, data)
    return problems


def _slice_problems(index: int, rule: Rule, evaluator: Evaluator, data: Mapping[str, Dataset]) -> list[Problem]:
    problems: list[Problem] = []
    for column, value in rule.slice.items():
        where = f"rules[{index}].slice.{column}"
        values = {found for example in evaluator.examples(data) if (found := example.slice_value(column)) is not None}
        if not values:
            columns = {name for dataset in evaluator.reads() for name in data[dataset].columns}
            problems.append(Problem(where, f"no example has a {column!r}", way_out=suggestion(column, columns)))
        elif value not in values:
            problems.append(Problem(where, f"no example has {value!r}", way_out=suggestion(value, values)))
    return problems
