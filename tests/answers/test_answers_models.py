"""Two models never share an entry, however alike they are: real tiny models, through one store."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from finetune_gate.evaluators.asking import Answer, GenerateRequest, Request, ScoreRequest
from finetune_gate.gate.answers import AnswerStore, ModelKey
from finetune_gate.gate.answers.contents import contents
from finetune_gate.gate.models import Model, open_models

REQUESTS: list[Request] = [
    ScoreRequest("My invoice was charged twice", " label: billing"),
    ScoreRequest("", "The app crashes whenever I open the settings page"),
    GenerateRequest("label:", max_new_tokens=4),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A model, one that differs from it in the last bits of one weight, one in a tokenizer setting, and a copy."""
    import torch
    from safetensors.torch import load_file, save_file
    from tiny_models import CHAT, make_model, make_tokenizer

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    first = root / "first"
    make_model(first)
    make_tokenizer(first)
    made = [first]
    for name in ("one-weight", "template", "copy"):
        shutil.copytree(first, root / name)
        made.append(root / name)
    weights = load_file(made[1] / "model.safetensors")
    name = sorted(weights)[0]
    changed = weights[name].clone()
    changed.view(-1)[0] += 1e-6 * changed.view(-1)[0].abs() + 1e-7
    assert int((changed != weights[name]).sum()) == 1
    save_file({**weights, name: changed}, made[1] / "model.safetensors", metadata={"format": "pt"})
    make_tokenizer(made[2], chat=CHAT)
    return made


def asked(model: Model, requests: Sequence[Request]) -> dict[str, Answer]:
    from tiny_models import ask

    return dict(zip(model.addresses(list(requests)), ask(model, list(requests)), strict=True))


def test_models_that_differ_in_one_weight_share_nothing(folders: list[Path], tmp_path: Path) -> None:
    from tiny_models import pins

    first, one_weight, template, copy = folders
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        with open_models(pins(first, one_weight, template), dtype="float32", device="cpu") as models:
            found = {role: asked(model, REQUESTS) for role, model in models.items()}
            addresses = [at for answers in found.values() for at in answers]
            assert len(set(addresses)) == len(addresses) == 3 * len(REQUESTS)
            for role, model in models.items():
                assert store.get(model.addresses(REQUESTS)) == {}, "another model's answers"
                store.put(found[role], ModelKey(model.digest, role))
            for role, model in models.items():
                assert store.get(model.addresses(REQUESTS)) == found[role]
        with open_models(pins(copy, one_weight), dtype="float32", device="cpu") as models:
            assert store.get(models["candidate"].addresses(REQUESTS)) == found["candidate"], "the same model elsewhere"
        assert [model.answers for model in contents(store).models] == [3, 3, 3]
