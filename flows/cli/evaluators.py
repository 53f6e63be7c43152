"""``finetune-gate evaluators``: what can be measured, and how to ask for it."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Mapping
from typing import cast

import click

from finetune_gate.evaluators.catalog import evaluator_class, installed, is_address, is_known, kinds
from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.evaluators.evaluator import Evaluator, EvaluatorSettings
from finetune_gate.gate.gate_file.suggesting import suggestion

from .output import print_json

_ABILITIES = {
    "generates": "text",
    "scores_tokens": "log-probabilities",
    "chooses": "likelihoods of options",
    "attributes": "gradients",
    "embeds": "embeddings",
    "entails": "entailment",
    "executes": "a sandbox",
}


@click.command()
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def evaluators(kind: str | None, as_json: bool) -> None:
    """List the evaluators there are, or show one with its settings.

    KIND is a name from the list, or package.module:Class for one of your own. Those of installed packages are listed
    too.
    """
    if kind is not None and not is_known(kind):
        raise ConfigurationError(Problem("KIND", f"unknown evaluator {kind!r}", way_out=suggestion(kind, kinds())))
    shown = [_described(one) for one in ((kind,) if kind is not None else kinds())]
    if as_json:
        print_json(shown if kind is None else shown[0])
    elif kind is None:
        for described in shown:
            _print_short(described)
        click.echo("finetune-gate evaluators KIND shows one with its settings.")
    else:
        _print_whole(shown[0])


def _described(kind: str) -> Mapping[str, object]:
    """As for ``--json``. Metrics are those of the example's settings: some depend on them."""
    found = evaluator_class(kind)
    example = dict(getattr(found, "example", {}))
    about = inspect.getdoc(inspect.getmodule(found) or found) or ""
    described: dict[str, object] = {
        "kind": kind,
        "about": _sentence(about),
        "from": _origin(kind),
        "example": {kind: example},
        "needs": [],
        "metrics": [],
        "settings": _settings(found),
    }
    if example:
        evaluator = cast("Evaluator", found.model_validate(example))
        described["needs"] = sorted(evaluator.needs)
        described["metrics"] = [
            {
                "metric": f"{evaluator.title}.{metric.name}",
                "higher_is_better": metric.higher_is_better,
                "low": metric.low,
                "high": metric.high,
                "unit": metric.unit,
                "limit": metric.limit,
                "description": metric.description,
            }
            for metric in evaluator.metrics()
        ]
    return described


def _sentence(about: str) -> str:
    """The first line, without the name in front of it."""
    line = about.partition("\n")[0]
    name, colon, rest = line.partition(": ")
    said = rest if colon and " " not in name else line
    return said[:1].upper() + said[1:]


def _origin(kind: str) -> str:
    entry = installed().get(kind)
    if entry is None:
        return "your own module" if is_address(kind) else "finetune-gate"
    return entry.dist.name if entry.dist is not None else entry.value


def _settings(found: type[EvaluatorSettings]) -> list[Mapping[str, object]]:
    schema = found.model_json_schema()
    properties = cast("Mapping[str, Mapping[str, object]]", schema["properties"])
    required = set(cast("list[str]", schema.get("required", [])))
    return [
        {
            "name": name,
            "required": name in required,
            "default": about.get("default"),
            "description": about.get("description", ""),
        }
        for name, about in properties.items()
    ]


def _print_short(described: Mapping[str, object]) -> None:
    click.echo(click.style(str(described["kind"]), bold=True) + f"  {described['about']}")
    click.echo(f"  needs    {_needs(described)}")
    names = [
        f"{str(metric['metric']).partition('.')[2]} {'↑' if metric['higher_is_better'] else '↓'}"
        for metric in _metrics(described)
    ]
    click.echo(click.wrap_text(", ".join(names) or "known once it has settings", _width(), "  metrics  ", " " * 11))
    click.echo()


def _print_whole(described: Mapping[str, object]) -> None:
    click.echo(click.style(str(described["kind"]), bold=True) + f"  {described['about']}")
    click.echo(f"from {described['from']}; needs {_needs(described)}")
    click.echo("\nmetrics (of the example below)")
    for metric in _metrics(described):
        arrow = "↑" if metric["higher_is_better"] else "↓"
        said = f"{metric['description']}" + (f" ({metric['unit']})" if metric["unit"] else "")
        if metric["limit"] is not None:
            said += f"; blocks beyond {metric['limit']:g} unless a rule says otherwise"
        click.echo(click.wrap_text(said, _width(), f"  {metric['metric']} {arrow}  ", " " * 6))
    click.echo("\nsettings")
    for setting in cast("list[Mapping[str, object]]", described["settings"]):
        default = "required" if setting["required"] else f"default {setting['default']!r}"
        said = f"{setting['description']} [{default}]"
        click.echo(click.wrap_text(said, _width(), f"  {setting['name']}  ", " " * 6))
    click.echo("\nexample")
    ((kind, example),) = cast("Mapping[str, Mapping[str, object]]", described["example"]).items()
    inner = ", ".join(f"{name}: {_yaml(value)}" for name, value in example.items())
    click.echo(f"  - {kind}: {{{inner}}}")


def _width() -> int:
    """Of a terminal, where it is narrower than lines are easily read."""
    return min(98, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 98


def _needs(described: Mapping[str, object]) -> str:
    needs = cast("list[str]", described["needs"])
    return " and ".join(_ABILITIES.get(need, need) for need in needs) or "nothing of a model"


def _metrics(described: Mapping[str, object]) -> list[Mapping[str, object]]:
    return cast("list[Mapping[str, object]]", described["metrics"])


def _yaml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(one) for one in cast("list[object]", value)) + "]"
    if isinstance(value, Mapping):
        inner = cast("Mapping[str, object]", value)
        return "{" + ", ".join(f"{name}: {_yaml(one)}" for name, one in inner.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)
