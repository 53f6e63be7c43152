"""Read and check a gate file. Every fault is reported in one go: line, key path, found, expected, suggestion."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast, get_args

from pydantic import BaseModel, ValidationError

from finetune_gate.evaluators.catalog import evaluator_class, is_known, kinds
from finetune_gate.evaluators.datasets import Dataset, load_dataset
from finetune_gate.evaluators.errors import ConfigurationError, DatasetError, Problem
from finetune_gate.evaluators.evaluator import Evaluator, RatedEvaluator, divisible
from finetune_gate.evaluators.metrics import Metric

from .budgets import budget_problems
from .rule_problems import empty_bounds, unknown_slices, wrong_subjects
from .rules import Rule
from .settings import Gate, GateFile
from .strict_yaml import Document, document_of, parse_yaml, read_yaml
from .suggesting import suggestion

Keys = tuple[str | int, ...]


def load_gate_file(path: Path) -> Gate:
    """Raises ConfigurationError with every problem of the file."""
    return _of_document(read_yaml(path))


def gate_from_text(text: str, path: Path) -> Gate:
    """The gate of a file that is not written yet: ``path`` is where it will lie. Raises ConfigurationError."""
    return _of_document(parse_yaml(text.encode("utf-8", "surrogatepass"), path))


def _of_document(document: Document) -> Gate:
    return _checked(document, hashlib.sha256(document.content).hexdigest())


def gate_from_settings(settings: Mapping[str, object], path: Path, digest: str) -> Gate:
    """The gate of a file that is not at hand, from every setting it came to, as a decision record keeps them. ``path``
    is only named in errors, ``digest`` the file's own. Raises ConfigurationError as `load_gate_file` does."""
    return _checked(document_of(settings, path), digest)


def _checked(document: Document, digest: str) -> Gate:
    problems: list[Problem] = []
    settings: GateFile | None = None
    try:
        settings = GateFile.model_validate(document.value)
    except ValidationError as error:
        problems += _problems(document, error, GateFile)
    evaluators = _build_evaluators(document, problems)
    problems += _unknown_names(document, evaluators)
    if settings is not None:
        metrics, place = _metrics(evaluators), partial(_place, document)
        problems += empty_bounds(settings.rules, metrics, place)
        problems += budget_problems(settings, evaluators.values(), place)
        problems += wrong_subjects(settings.rules, metrics, place)
        problems += _idle_looks(document, settings, evaluators)
    if problems or settings is None:
        raise ConfigurationError(*problems)
    rules = (*settings.rules, *_limits(settings.rules, evaluators))
    return Gate(document.path.resolve(), digest, settings, evaluators, rules)


def _idle_looks(document: Document, settings: GateFile, evaluators: Mapping[str, Evaluator]) -> list[Problem]:
    """Looks at some of the examples, where every evaluator needs all of its data at once."""
    looks = settings.execution.looks
    if len(looks) == 1 or not evaluators or divisible(evaluators.values()):
        return []
    way_out = "leave it out, or give evaluators that go row by row a dataset that no other reads"
    found = f"{len(looks)} looks, and no dataset that can be seen in parts"
    return [Problem(_place(document, ("execution", "looks")), found, way_out=way_out)]


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
        if rule.columns and all(name in data for name in evaluator.reads()):
            problems += unknown_slices(index, rule, evaluator, data)
    return problems
