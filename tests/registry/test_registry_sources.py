"""Versions that are no files to load: behind an API (MLflow's openai flavor) or Python code (pyfunc, scikit-learn)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_shop import MODEL, Shop, open_shop

from finetune_gate.evaluators.asking import GenerateRequest, Generation, Message
from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, ModelFilesError
from finetune_gate.gate.gate_file.settings import EndpointSettings
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.inspecting import inspect_again
from finetune_gate.gate.pins import Endpoint, ModelFiles, Pins, PythonModel, identical_baselines

TUNED = "ft:gpt-4o-mini-2024-07-18:acme:support:B7xY"
DATED = "openai:/gpt-4o-mini-2024-07-18"


VLLM = EndpointSettings(base_url="http://LOCALHOST:8000/v1/", key="VLLM_KEY")


@pytest.fixture(autouse=True)
def no_api(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def logging(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """MLflow's fluent interface, at the shop's registry, which its environment settings name."""
    experiment = shop.client.create_experiment("logged", artifact_location=str(shop.root / "logged"))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    with warnings.catch_warnings(action="ignore"):
        yield shop


def log(flavor: Any, name: str = MODEL, *, tags: dict[str, str] | None = None, **what: Any) -> str:
    """The new version's number."""
    import mlflow

    with mlflow.start_run(tags=tags):
        made = flavor.log_model(name="model", registered_model_name=name, pip_requirements=[], **what)
    return str(made.registered_model_version)


def log_openai(model: str = TUNED, task: str = "chat.completions", **what: Any) -> str:
    import mlflow

    return log(mlflow.openai, model=model, task=task, **what)


def log_pipeline(sure: float = 1.0, name: str = MODEL, **what: Any) -> str:
    import mlflow
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts, labels = ["refund my invoice", "the app crashes"], ["billing", "bug"]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(C=sure)).fit(texts, labels)
    return log(mlflow.sklearn, name, sk_model=pipeline, **what)


def resolve(shop: Shop, candidate: str = "latest", **what: Any) -> Pins:
    return shop.registry.resolve(MODEL, candidate, **{"champion": None, "downloads": shop.downloads, **what})


def refused(kind: type[Exception], shop: Shop, **what: Any) -> str:
    with pytest.raises(kind) as caught:
        resolve(shop, **what)
    return str(caught.value)


# -- behind an API --------------------------------------------------------------------------------------------------


def test_addresses_of_apis_as_base_and_judge(shop: Shop) -> None:
    shop.register(shop.folder(1))
    endpoints = {"vllm": VLLM, "old": EndpointSettings(base_url="https://old.example/v2", api="completions")}
    judges = ["openai:/gpt-4o", "vllm:/meta-llama/Llama-3.1-8B:latest", str(shop.folder(2))]
    pins = resolve(shop, base="old:/davinci", endpoints=endpoints, judges=judges)
    assert pins.base.files == Endpoint("https://old.example/v2", "davinci", "completions", key_variable="")
    assert (pins.base.uri, pins.base.label, pins.base.origin) == ("old:/davinci", "old:/davinci", "gate file")
    assert list(pins.judges) == judges
    assert pins.judges[judges[0]].files == Endpoint("https://api.openai.com/v1", "gpt-4o")
    assert pins.judges[judges[1]].files == Endpoint(
        "http://localhost:8000/v1", "meta-llama/Llama-3.1-8B:latest", key_variable="VLLM_KEY"
    )
    assert isinstance(pins.judges[judges[2]].files, ModelFiles)
    assert {pin.role for pin in pins.judges.values()} == {"judge"}
    assert [inspect_again(pin) == pin.files.files_digest for pin in pins.by_name().values()] == [True] * 5


def test_a_judge_by_version_and_alias(shop: Shop) -> None:
    shop.register(shop.folder(1))
    shop.register(shop.folder(2), "judge")
    shop.alias("best", "1", "judge")
    pins = resolve(shop, base="openai:/gpt-4o", judges=["models:/judge@best"])
    assert pins.judges["models:/judge@best"].uri == "models:/judge/1"


@pytest.mark.parametrize("judge", ["candidate", "relative/folder", "models:/nobody/1", "vllm:/x", "openai:/"])
def test_a_judge_that_is_not_there(shop: Shop, monkeypatch: pytest.MonkeyPatch, judge: str) -> None:
    (shop.root / "relative" / "folder").mkdir(parents=True)
    monkeypatch.chdir(shop.root)
    shop.register(shop.folder(1))
    assert "judge" in refused(ConfigurationError, shop, base="openai:/x", judges=[judge]) or judge == "openai:/"


def test_a_fine_tuned_openai_model_names_its_base(logging: Shop) -> None:
    log_openai(messages=[{"role": "system", "content": "Answer in {{one}} word."}])
    pins = resolve(logging)
    source = pins.candidate.files
    assert isinstance(source, Endpoint)
    assert (source.model, source.api, source.layout) == (TUNED, "chat", "mlflow-openai")
    assert source.messages == (Message("system", "Answer in {one} word."),)
    assert source.registered_digest == inspect_again(pins.candidate)
    assert source.root is not None
    assert (source.root / "model.yaml").is_file()
    assert (pins.base.uri, pins.base.origin) == (DATED, "the model's own name")
    assert pins.base.files == Endpoint("https://api.openai.com/v1", "gpt-4o-mini-2024-07-18")


def test_other_claims_of_a_fine_tuned_openai_model(logging: Shop) -> None:
    log_openai(tags={"base_model": "openai:/gpt-4o-mini"})
    assert resolve(logging).base.uri == "openai:/gpt-4o-mini"
    log_openai(tags={"base_model": "openai:/gpt-3.5-turbo"})
    assert "claims that lead to one and the same model" in refused(ConfigurationError, logging)
    log_openai(tags={"base_model": "vllm:/somebody"})
    assert resolve(logging).base.origin.startswith("the model's own name; not followed: run tag 'base_model'")
    log_openai("gpt-4o-mini")
    assert "nothing says what it was fine-tuned from" in refused(ConfigurationError, logging)


def test_a_claim_sends_data_nowhere_new(shop: Shop) -> None:
    """A tag can be set by anyone who may register: it does not decide that a run's data goes to an API."""
    shop.register(shop.folder(1), tags={"base_model": "openai:/gpt-4o"})
    assert "would send data to https://api.openai.com/v1, and only a claim says so" in refused(ConfigurationError, shop)
    assert resolve(shop, endpoints={"openai": EndpointSettings()}).base.files.layout == "endpoint"
    shop.register(shop.folder(1), tags={"base_model": "vllm:/tiny"})
    assert "no kind of address" in refused(ConfigurationError, shop)
    assert resolve(shop, endpoints={"vllm": VLLM}).base.files == Endpoint(
        "http://localhost:8000/v1", "tiny", key_variable="VLLM_KEY"
    )


def test_a_claimed_version_behind_an_api_sends_data_nowhere_new(logging: Shop) -> None:
    log_openai()
    logging.register(logging.folder(1), "other", tags={"base_model": f"models:/{MODEL}/1"})
    with pytest.raises(ConfigurationError, match="only a claim says so"):
        logging.registry.resolve("other", "1", champion=None, downloads=logging.downloads)


def test_one_endpoint_under_two_versions_is_identical(logging: Shop) -> None:
    log_openai()
    log_openai()
    logging.alias("champion", "1")
    pins = resolve(logging, champion="@champion")
    assert pins.champion is not None
    assert pins.candidate.files.files_digest != pins.champion.files.files_digest
    assert identical_baselines(pins) == ("champion",)
    assert "the base's own" in refused(EvaluationError, logging, base=f"openai:/{TUNED}")


def test_where_an_openai_version_is_asked(logging: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    log_openai("gpt-3.5-turbo-instruct", "completions", prompt="{what}")
    found = resolve(
        logging,
        base="openai:/x",
        endpoints={"openai": EndpointSettings(base_url="https://proxy.example/v1", key="PROXY_KEY")},
    )
    source = found.candidate.files
    assert isinstance(source, Endpoint)
    assert (source.api, source.base_url, source.key_variable) == (
        "completions",
        "https://proxy.example/v1",
        "PROXY_KEY",
    )
    monkeypatch.setenv("OPENAI_BASE_URL", "https://name:secret@gateway.example/openai/v1/")
    source = resolve(logging, base="openai:/x").candidate.files
    assert isinstance(source, Endpoint)
    assert source.base_url == "https://gateway.example/openai/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "file:///etc/passwd")
    assert "OPENAI_BASE_URL" in refused(ConfigurationError, logging, base="openai:/x")


def test_an_adapter_cannot_sit_on_an_api(shop: Shop) -> None:
    shop.register(shop.folder(1, adapter=True))
    assert "cannot sit on what has no files (openai:/gpt-4o)" in refused(
        ConfigurationError, shop, base="openai:/gpt-4o"
    )
    shop.register(shop.folder(1))
    shop.alias("champion", "1")
    assert "champion support-bot v1 is an adapter" in refused(
        ConfigurationError, shop, base="openai:/gpt-4o", champion="@champion"
    )


# -- Python code ----------------------------------------------------------------------------------------------------


def test_code_needs_trust(logging: Shop) -> None:
    log_pipeline()
    message = refused(ModelFilesError, logging, base="openai:/gpt-4o")
    assert "is Python code to MLflow (flavors python_function, sklearn)" in message
    assert "`trust: code` in the gate file" in message
    source = resolve(logging, base="openai:/gpt-4o", trust_code=True).candidate.files
    assert isinstance(source, PythonModel)
    assert (source.flavor, source.layout) == ("sklearn", "mlflow-pyfunc")


def test_no_claim_makes_code_trusted(logging: Shop) -> None:
    log_pipeline(name="base-bot")
    log_pipeline(sure=9.0, tags={"base_model": "models:/base-bot/1"})
    assert "a claim never makes code trusted" not in refused(ConfigurationError, logging, trust_code=True)
    assert "would run its author's code" in refused(ConfigurationError, logging, trust_code=True)
    pins = resolve(logging, trust_code=True, base="models:/base-bot/1", judges=["models:/base-bot/1"])
    assert {type(pin.files) for pin in pins.by_name().values()} == {PythonModel}
    assert "the base's own" in refused(
        EvaluationError, logging, candidate="1", trust_code=True, base=f"models:/{MODEL}/1"
    )


def test_a_changed_file_of_a_python_model_is_seen(logging: Shop) -> None:
    log_pipeline()
    candidate = resolve(logging, base="openai:/gpt-4o", trust_code=True).candidate
    assert inspect_again(candidate) == candidate.files.digest
    assert candidate.files.root is not None
    (candidate.files.root / "added.txt").write_text("x")
    assert inspect_again(candidate) != candidate.files.digest


def test_trust_is_for_code_alone(logging: Shop) -> None:
    """A version that is loaded from files holds no pickle, whatever is trusted."""
    folder = logging.folder(1)
    (folder / "training_args.bin").write_bytes(b"pickle")
    logging.register(folder)
    assert "training_args.bin" in refused(ModelFilesError, logging, base="openai:/gpt-4o", trust_code=True)


@pytest.mark.slow
def test_open_what_was_resolved(logging: Shop) -> None:
    """A pipeline, a pyfunc judge and an API, opened together; equal ones are one object."""
    import mlflow

    class Shouting(mlflow.pyfunc.PythonModel):
        def predict(self, model_input: list[str]) -> list[str]:
            return [text.upper() for text in model_input]

    log_pipeline()
    logging.alias("champion", "1")
    log(mlflow.pyfunc, "shouting", python_model=Shouting())
    log_pipeline(sure=9.0)
    judges = ["models:/shouting/1", "vllm:/tiny"]
    endpoints = {"vllm": VLLM}
    pins = resolve(
        logging, champion="1", base="models:/support-bot/1", trust_code=True, judges=judges, endpoints=endpoints
    )
    answers: dict[int, Any] = {}
    with open_models(pins, endpoints=endpoints) as models:
        assert list(models) == ["candidate", "base", "champion", *judges]
        assert models["base"] is models["champion"]
        assert models["vllm:/tiny"].facts()["base_url"] == "http://localhost:8000/v1"
        models["candidate"].generate([GenerateRequest("please refund me")], answers.__setitem__)
        models["models:/shouting/1"].generate(
            [GenerateRequest("x"), GenerateRequest("quietly")],
            lambda index, answer: answers.update({index + 1: answer}),
        )
    assert answers == {
        0: Generation("billing", "stop", 0),
        1: Generation("X", "stop", 0),
        2: Generation("QUIETLY", "stop", 0),
    }


@pytest.mark.slow
@pytest.mark.xdist_group("mlflow_server")
def test_the_same_over_http(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setenv("OPENAI_API_KEY", "sent-nowhere")
    remote = open_shop(server, tmp_path)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", remote.client.create_experiment("flavors"))
    with warnings.catch_warnings(action="ignore"):
        log(mlflow.openai, "remote-api", model=TUNED, task="chat.completions")
        log_pipeline(name="remote-code", tags={"base_model": "openai:/gpt-4o"})
    pins = remote.registry.resolve("remote-api", "1", champion=None, downloads=remote.downloads)
    assert (pins.candidate.files.layout, pins.base.uri) == ("mlflow-openai", DATED)
    assert pins.candidate.files.root is not None
    assert pins.candidate.files.root.parent == remote.downloads
    pins = remote.registry.resolve(
        "remote-code", "1", base="openai:/gpt-4o", champion=None, downloads=remote.downloads, trust_code=True
    )
    answers: dict[int, Any] = {}
    with open_models(pins) as models:
        models["candidate"].generate([GenerateRequest("it crashes")], answers.__setitem__)
    assert answers == {0: Generation("bug", "stop", 0)}
