"""``finetune-gate evaluators``, and evaluators that are not ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from finetune_gate.evaluators import catalog
from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.evaluators.evaluator import EvaluatorSettings
from finetune_gate.flows.cli.evaluators import evaluators
from finetune_gate.gate.gate_file import load_gate_file

OWN = '''
from typing import ClassVar
from finetune_gate.evaluators import EvaluatorSettings, Mean, Metric, Unmeasured
from finetune_gate.evaluators.asking import GenerateRequest, Generation
from finetune_gate.evaluators.evaluator import OneDataset

class Politeness(OneDataset):
    """Does it say please?"""
    kind: ClassVar[str] = "politeness"
    needs = frozenset({"generates"})
    word: str = "please"
    def metrics(self):
        return (Metric("share", True, Mean("polite", 0.0, 1.0), 0.0, 1.0, description="polite answers"),)
    def check(self, data):
        return []
    def requests(self, data):
        return [GenerateRequest(str(one.row["text"])) for one in self.examples(data)]
    def score(self, data, answers):
        found = [answers[one] for one in self.requests(data)]
        return {"polite": [float(self.word in one.text) if isinstance(one, Generation) else Unmeasured(one.reason)
                           for one in found]}

class NoEvaluator:
    pass
'''
GATE = """
model: m
data: {{holdout: holdout.jsonl}}
evaluators:
  - {entry}
rules:
  - {{metric: politeness.share, min: 0.5}}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "our_politeness.py").write_text(OWN)
    (tmp_path / "holdout.jsonl").write_text('{"text": "a"}\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "our_politeness", raising=False)
    return tmp_path


def gate(folder: Path, entry: str) -> Path:
    path = folder / "gate.yaml"
    path.write_text(GATE.format(entry=entry))
    return path


@pytest.mark.parametrize("kind", catalog.BUILT_IN)
def test_every_evaluator_is_shown_with_an_example_that_works(kind: str) -> None:
    shown = json.loads(CliRunner().invoke(evaluators, [kind, "--json"], catch_exceptions=False).output)
    assert shown["about"]
    assert shown["metrics"], "an evaluator without an example"
    for setting in shown["settings"]:
        assert setting["description"], f"{kind}.{setting['name']} has no description"
    for metric in shown["metrics"]:
        assert metric["description"], f"{metric['metric']} has no description"
    assert CliRunner().invoke(evaluators, [kind], catch_exceptions=False).output.startswith(kind)


def test_all_are_listed() -> None:
    output = CliRunner().invoke(evaluators, [], catch_exceptions=False).output
    for kind in catalog.BUILT_IN:
        assert f"\n{kind}  " in "\n" + output


def test_an_unknown_one_is_refused_with_what_is_close() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'perplexity'"):
        CliRunner().invoke(evaluators, ["perplexty"], catch_exceptions=False)


def test_a_class_of_ones_own_by_address(own: Path) -> None:
    found = load_gate_file(gate(own, '"our_politeness:Politeness": {data: holdout, word: thanks}'))
    assert found.evaluators["politeness"].settings()["word"] == "thanks"
    assert "politeness" in CliRunner().invoke(evaluators, ["our_politeness:Politeness"], catch_exceptions=False).output


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('"our_politeness:Politeness": {data: holdout, words: thanks}', "unknown key 'words'"),
        ('"our_politeness:Politeness": {data: holdut}', "no dataset 'holdut'"),
        ('"our_politeness:Missing": {data: holdout}', "no attribute 'Missing'"),
        ('"not_there:Politeness": {data: holdout}', "No module named 'not_there'"),
        ('"our_politeness:NoEvaluator": {data: holdout}', "is no evaluator"),
        ("politness: {data: holdout}", "unknown evaluator"),
    ],
)
def test_what_is_wrong_with_it_is_said(own: Path, entry: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as error:
        load_gate_file(gate(own, entry))
    assert "gate.yaml:5" in str(error.value)


def installed_as(folder: Path, package: str, name: str) -> None:
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[finetune_gate.evaluators]\n{name} = our_{package}:Politeness\n")


def test_an_installed_package_brings_its_own(own: Path) -> None:
    installed_as(own, "politeness", "politeness")
    catalog.installed.cache_clear()
    try:
        found = load_gate_file(gate(own, "politeness: {data: holdout}"))
        assert isinstance(found.evaluators["politeness"], EvaluatorSettings)
        shown = json.loads(CliRunner().invoke(evaluators, ["politeness", "--json"], catch_exceptions=False).output)
        assert shown["from"] == "politeness"
        assert shown["metrics"][0]["metric"] == "politeness.share"
    finally:
        catalog.installed.cache_clear()


@pytest.mark.parametrize(("first", "second"), [("perplexity", "x"), ("politeness", "politeness")])
def test_two_of_one_name_are_an_error(own: Path, first: str, second: str) -> None:
    installed_as(own, "politeness", first)
    installed_as(own, "rudeness", second)
    catalog.installed.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match="both have an evaluator of that name"):
            catalog.installed()
    finally:
        catalog.installed.cache_clear()
