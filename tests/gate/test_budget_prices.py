"""Prices: found for every model however it is named, and told where they are missing or belong to nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from finetune_gate.evaluators import catalog
from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.gate.gate_file import Gate, load_gate_file
from finetune_gate.gate.gate_file.settings import Price
from finetune_gate.gate.pins import Endpoint, ModelPin, Pins, Role
from finetune_gate.gate.run.prices import priced_nothing, prices_of

URL = "http://127.0.0.1:8000/v1"
GPT = Price(input=2.5, output=10.0)


@pytest.fixture(autouse=True)
def liked(monkeypatch: pytest.MonkeyPatch) -> None:
    import judged

    monkeypatch.setitem(catalog.BUILT_IN, "liked", "liked:Liked")
    monkeypatch.setitem(sys.modules, "finetune_gate.evaluators.liked", judged)


def gate(folder: Path, budget: str, base: str = "auto", judge: str = "openai:/gpt-4o") -> Gate:
    path = folder / "gate.yaml"
    path.write_text(f"""
model: m
base: "{base}"
data: {{holdout: holdout.jsonl}}
endpoints: {{vllm: {{base_url: "{URL}"}}}}
budget: {budget}
evaluators:
  - liked: {{data: holdout, judge: "{judge}"}}
rules:
  - {{metric: liked.share, min: 0.5}}
""")
    return load_gate_file(path)


def problems(folder: Path, budget: str, **settings: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        gate(folder, budget, **settings)
    return str(raised.value)


def price(*addresses: str) -> str:
    return "prices: {" + ", ".join(f'"{one}": {{input: 2.5, output: 10}}' for one in addresses) + "}"


def test_a_budget_in_order(tmp_path: Path) -> None:
    found = gate(tmp_path, "{calls: 2000, tokens: 3000000, seconds: 3600, money: 5, " + price("openai:/gpt-4o") + "}")
    budget = found.file.budget
    assert budget is not None
    assert (budget.calls, budget.money, budget.currency) == (2000, 5.0, "USD")
    assert budget.prices == {"openai:/gpt-4o": GPT}


def test_every_model_that_can_cost_needs_a_price(tmp_path: Path) -> None:
    said = problems(tmp_path, "{money: 5}", base="vllm:/llama")
    assert "no price for 'openai:/gpt-4o'" in said
    assert "no price for 'vllm:/llama'" in said
    assert "gate.yaml:6 budget.money" in said
    assert "limit calls or tokens instead of money" in said


def test_a_local_judge_needs_none(tmp_path: Path) -> None:
    assert gate(tmp_path, "{money: 5}", judge="models:/judge/1").file.budget is not None


@pytest.mark.parametrize(
    ("address", "settings", "told"),
    [
        ("gpt-4o", {}, "no model behind an API of this gate"),
        ("other:/gpt-4o", {}, "no model behind an API of this gate"),
        ("vllm:/lama", {"base": "vllm:/llama"}, "a model that this gate does not ask"),
        ("openai:/gpt-4", {}, "did you mean 'openai:/gpt-4o'?"),
    ],
)
def test_a_price_of_nothing(tmp_path: Path, address: str, settings: dict[str, str], told: str) -> None:
    said = problems(tmp_path, "{calls: 5, " + price(address) + "}", **settings)
    assert told in said
    assert f"budget.prices.{address}" in said


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ("{}", "nothing in it"),
        ("{calls: 0}", "greater than or equal to 1"),
        ("{calls: 1.5}", "integer"),
        ("{money: .inf}", "finite"),
        ("{money: -1}", "greater than 0"),
        ("{cals: 4}", "did you mean 'calls'?"),
        ('{calls: 4, prices: {"openai:/gpt-4o": {input: 1}}}', "'output' is missing"),
    ],
)
def test_faults_of_a_budget(tmp_path: Path, budget: str, told: str) -> None:
    assert told in problems(tmp_path, budget)


def pin(role: Role, uri: str, endpoint: Endpoint) -> ModelPin:
    return ModelPin(role, uri, None, None, None, "test", endpoint)


def pins(tmp_path: Path) -> Pins:
    """A registered version of the openai flavor, a base at an API of one's own, and a judge."""
    registered = Endpoint("https://api.openai.com/v1", "ft:one", root=tmp_path, registered_digest="d")
    return Pins(
        pin("candidate", "models:/m/7", registered),
        pin("base", "vllm:/llama", Endpoint(URL, "llama", key_variable="")),
        None,
        judges={"openai:/gpt-4o": pin("judge", "openai:/gpt-4o", Endpoint("https://api.openai.com/v1", "gpt-4o"))},
    )


def test_a_price_holds_however_the_model_is_named(tmp_path: Path) -> None:
    budget = "{money: 5, " + price("openai:/gpt-4o", "openai:/ft:one", "openai:/ft:older", "vllm:/llama") + "}"
    file, models = gate(tmp_path, budget).file, pins(tmp_path)
    assert prices_of(file, models) == {one.files.digest: GPT for one in models.by_name().values()}
    assert priced_nothing(file, models) == ("openai:/ft:older",)


def test_what_only_the_registry_tells_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    file = gate(tmp_path, "{money: 5, " + price("openai:/gpt-4o") + "}").file
    with pytest.raises(ConfigurationError) as raised:
        prices_of(file, pins(tmp_path))
    assert "budget.prices: candidate" in str(raised.value)
    assert '"openai:/ft:one"' in str(raised.value)
    assert '"vllm:/llama"' in str(raised.value)


def test_without_a_limit_of_money_prices_may_be_few(tmp_path: Path) -> None:
    file, models = gate(tmp_path, "{" + price("openai:/gpt-4o") + "}").file, pins(tmp_path)
    assert list(prices_of(file, models)) == [models.judges["openai:/gpt-4o"].files.digest]
