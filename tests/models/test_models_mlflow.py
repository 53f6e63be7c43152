"""What MLflow really writes, in each of the ways a model gets into its registry."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from safetensors import safe_open
from tiny_models import CORPUS, ask, make_adapter, pins

from finetune_gate.evaluators.asking import GenerateRequest, ScoreRequest
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.model_files import inspect_model_files

REQUESTS = [ScoreRequest(text, "billing", " ") for text in CORPUS] + [GenerateRequest(text[:9], 5) for text in CORPUS]


@pytest.fixture(scope="module")
def logged(llama, adapter, tmp_path_factory) -> dict[str, Path]:
    """Downloaded folders by the way they were logged, from a registry on SQLite."""
    import mlflow
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    root = tmp_path_factory.mktemp("registry")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{root}/mlflow.db")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("gate", artifact_location=(root / "artifacts").as_uri())
    tokenizer = AutoTokenizer.from_pretrained(llama)
    options = {"task": "text-generation", "pip_requirements": ["torch"]}
    uris: dict[str, str] = {}
    try:
        with mlflow.start_run(experiment_id=experiment) as run:
            model = AutoModelForCausalLM.from_pretrained(llama)
            info = mlflow.transformers.log_model({"model": model, "tokenizer": tokenizer}, name="flavor", **options)
            uris["flavor"] = info.model_uri
            peft = PeftModel.from_pretrained(model, adapter)
            info = mlflow.transformers.log_model({"model": peft, "tokenizer": tokenizer}, name="peft", **options)
            uris["flavor, adapter"] = info.model_uri
            info = mlflow.transformers.log_model(
                {"model": peft, "tokenizer": tokenizer}, name="peft", base_model_path=str(llama), **options
            )
            uris["flavor, adapter without base"] = info.model_uri
            mlflow.log_artifacts(str(llama), "hf_model")
            client.create_registered_model("raw")
            source = f"{run.info.artifact_uri}/hf_model"
            uris["artifacts"] = f"models:/raw/{client.create_model_version('raw', source, run.info.run_id).version}"
            for name, folder in (("folder", llama), ("folder, adapter", adapter)):
                entry = mlflow.initialize_logged_model(name="plain")
                client.log_model_artifacts(entry.model_id, str(folder))
                mlflow.finalize_logged_model(entry.model_id, "READY")
                version = mlflow.register_model(f"models:/{entry.model_id}", name.replace(", ", "-"))
                uris[name] = f"models:/{version.name}/{version.version}"
        return {
            name: Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(root / f"down {number}")))
            for number, (name, uri) in enumerate(uris.items())
        }
    finally:
        mlflow.set_tracking_uri(before)


def test_one_model_has_one_digest_in_every_layout(logged, llama):
    plain = inspect_model_files(llama)
    found = {name: inspect_model_files(logged[name]) for name in ("flavor", "artifacts", "folder")}
    assert {name: files.layout for name, files in found.items()} == {
        "flavor": "mlflow-transformers",
        "artifacts": "huggingface",
        "folder": "huggingface",
    }
    assert {files.digest for files in found.values()} == {plain.digest}
    assert {files.tokenizer_digest for files in found.values()} == {plain.tokenizer_digest}
    assert found["flavor"].files_digest != plain.files_digest


def test_an_adapter_has_one_digest_in_every_layout(logged, llama, adapter, tmp_path):
    import shutil

    bare = inspect_model_files(adapter)
    assert inspect_model_files(logged["folder, adapter"]).digest == bare.digest
    with_tokenizer = shutil.copytree(adapter, tmp_path / "adapter")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(llama / name, with_tokenizer)
    wanted = inspect_model_files(with_tokenizer)
    for name in ("flavor, adapter", "flavor, adapter without base"):
        files = inspect_model_files(logged[name])
        assert files.layout == "mlflow-transformers"
        assert files.weights is None
        assert files.digest == wanted.digest
        assert files.base_claim == str(llama)


def test_every_layout_loads_and_answers_alike(logged, llama, adapter):
    with open_models(pins(adapter, llama)) as models:
        wanted = {"model": ask(models["base"], REQUESTS), "adapter": ask(models["candidate"], REQUESTS)}
    for name, folder in logged.items():
        with open_models(pins(folder, llama)) as models:
            kind = "adapter" if "adapter" in name else "model"
            assert ask(models["candidate"], REQUESTS) == wanted[kind], name
    for name in ("flavor", "artifacts"):
        with open_models(pins(logged["flavor, adapter"], logged[name])) as models:
            assert ask(models["candidate"], REQUESTS) == wanted["adapter"]


def test_the_base_copy_beside_an_adapter_is_not_fit_to_be_loaded(logged):
    """Why only the adapter is taken: adapted layers are stored under names that transformers fills at random."""
    with safe_open(logged["flavor, adapter"] / "model" / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert "model.layers.0.self_attn.q_proj.base_layer.weight" in names
    assert "model.layers.0.self_attn.q_proj.weight" not in names
    assert not (logged["flavor, adapter without base"] / "model").exists()


def test_logging_does_not_change_what_an_adapter_is(llama, adapter, tmp_path):
    make_adapter(tmp_path, llama)
    assert inspect_model_files(tmp_path).digest == inspect_model_files(adapter).digest
