"""Which folders are models, which are refused, and what a digest says."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tiny_models import make_model, make_tokenizer

from finetune_gate.evaluators.errors import ModelFilesError
from finetune_gate.gate.models import manifest as manifest_module
from finetune_gate.gate.models.model_files import inspect_model_files


@pytest.fixture
def copy(llama, tmp_path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "copy"))


@pytest.fixture
def adapter_copy(adapter, tmp_path) -> Path:
    return Path(shutil.copytree(adapter, tmp_path / "adapter_copy"))


def change(path: Path, **changes) -> None:
    document = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**document, **changes}))


def refused(folder: Path, **options) -> str:
    with pytest.raises(ModelFilesError) as caught:
        inspect_model_files(folder, **options)
    return str(caught.value)


def test_a_plain_folder_at_the_top_or_in_one_subfolder(llama, tmp_path):
    files = inspect_model_files(llama)
    assert files.layout == "huggingface"
    assert files.weights == files.tokenizer == llama
    assert files.adapter is None
    assert files.total_bytes == sum(file.stat().st_size for file in llama.iterdir())
    shutil.copytree(llama, tmp_path / "run" / "hf_model")
    (tmp_path / "run" / "README.md").write_text("a model")
    inside = inspect_model_files(tmp_path / "run")
    assert inside.weights == tmp_path / "run" / "hf_model"
    assert inside.digest == files.digest
    assert inside.files_digest != files.files_digest


def test_an_adapter_folder_with_and_without_tokenizer(adapter_copy, llama):
    bare = inspect_model_files(adapter_copy)
    assert bare.layout == "peft"
    assert bare.adapter == adapter_copy
    assert bare.weights is bare.tokenizer is bare.tokenizer_digest is None
    assert bare.base_claim == str(llama)
    make_tokenizer(adapter_copy)
    own = inspect_model_files(adapter_copy)
    assert own.tokenizer == adapter_copy
    assert own.digest != bare.digest


def test_the_digest_sees_one_bit_and_no_bookkeeping(copy):
    before = inspect_model_files(copy)
    (copy / "generation_config.json").write_text("{}")
    change(copy / "config.json", transformers_version="9.9", _name_or_path="/somewhere")
    change(copy / "tokenizer_config.json", name_or_path="x", is_local=True)
    change(copy / "tokenizer.json", padding=None, truncation=None)
    weights = copy / "model.safetensors"
    save_file(load_file(weights), weights, {"format": "pt", "note": "saved again"})
    (copy / "notes.txt").write_text("hello")
    same = inspect_model_files(copy)
    assert same.digest == before.digest
    assert same.tokenizer_digest == before.tokenizer_digest
    assert same.files_digest != before.files_digest
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert inspect_model_files(copy).digest != before.digest


def test_shards_are_the_same_model(copy):
    before = inspect_model_files(copy)
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, some in shards.items():
        save_file({name: tensors[name] for name in some}, copy / file, {"format": "pt"})
    weight_map = {name: file for file, some in shards.items() for name in some}
    change(copy / "model.safetensors.index.json", metadata={}, weight_map=weight_map)
    assert inspect_model_files(copy).digest == before.digest
    save_file({names[1]: tensors[names[1]] + 1}, copy / "extra.safetensors")
    change(copy / "model.safetensors.index.json", weight_map={**weight_map, "x": "extra.safetensors"})
    assert "another file holds too" in refused(copy)
    for outside in ("../model.safetensors", "/etc/x.safetensors", "gone.safetensors", "model.bin"):
        change(copy / "model.safetensors.index.json", weight_map={**weight_map, "x": outside})
        assert "model.safetensors.index.json" in refused(copy)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"rms_norm_eps": 0.1}),
        ("config.json", {"eos_token_id": 5}),
        ("tokenizer_config.json", {"bos_token": "</s>"}),
        ("tokenizer_config.json", {"chat_template": "{{ messages }}"}),
    ],
)
def test_whatever_changes_an_answer_changes_the_digest(copy, file, changes):
    (copy / "chat_template.jinja").unlink()
    before = inspect_model_files(copy)
    change(copy / file, **changes)
    after = inspect_model_files(copy)
    assert after.digest != before.digest
    assert (after.tokenizer_digest != before.tokenizer_digest) == (file != "config.json")


def test_a_template_is_the_same_in_its_own_file_and_in_the_settings(copy):
    before = inspect_model_files(copy)
    template = (copy / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").unlink()
    change(copy / "tokenizer_config.json", chat_template=template)
    assert inspect_model_files(copy).digest == before.digest


def test_an_adapters_digest_leaves_its_base_out_and_sees_its_settings(adapter_copy):
    before = inspect_model_files(adapter_copy)
    config = adapter_copy / "adapter_config.json"
    modules = json.loads(config.read_text())["target_modules"]
    change(config, base_model_name_or_path="elsewhere", target_modules=modules[::-1], peft_version="9", revision="x")
    assert inspect_model_files(adapter_copy).digest == before.digest
    assert inspect_model_files(adapter_copy).base_claim == "elsewhere"
    change(config, lora_alpha=64)
    assert inspect_model_files(adapter_copy).digest != before.digest


UNSAFE = [
    f"{letter}.{ending}"
    for letter, ending in zip(
        "abcdefghijklmNO",
        (
            "bin",
            "pt",
            "pth",
            "pkl",
            "pickle",
            "joblib",
            "ckpt",
            "py",
            "so",
            "h5",
            "keras",
            "msgpack",
            "dill",
            "PY",
            "Bin",
        ),
        strict=True,
    )
]


def test_every_unsafe_file_is_named_in_one_go(copy):
    (copy / "code").mkdir()
    for name in UNSAFE:
        (copy / "code" / name).write_bytes(b"x")
    message = refused(copy)
    assert all(f"code/{name}:" in message for name in UNSAFE)
    assert "allow_files" in message
    assert "code/a.bin" not in refused(copy, allow_files=["*.bin"])
    files = inspect_model_files(copy, allow_files=["code/*"])
    assert files.digest == inspect_model_files(copy, allow_files=UNSAFE).digest


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "tf_model.h5"])
def test_a_pickle_only_model_is_told_the_way_out(copy, name):
    (copy / "model.safetensors").rename(copy / name)
    message = refused(copy)
    assert "pickle only" in message
    assert "model.save_pretrained(dir, safe_serialization=True)" in message
    assert "no weights that can be loaded" in refused(copy, allow_files=[name])


def test_links_devices_and_bad_names(copy, tmp_path):
    (tmp_path / "outside").write_text("secret")
    (copy / "out").symlink_to(tmp_path / "outside")
    (copy / "in").symlink_to(copy / "config.json")
    (copy / "folder").symlink_to(copy)
    os.mkfifo(copy / "pipe")
    (copy / "bell\a.txt").write_text("")
    (copy / "a..b").write_text("")
    (copy / ("x" * 201)).write_text("")
    (copy / "right\u202eleft.json").write_text("")
    (Path(os.fsdecode(os.fsencode(copy) + b"/\xff"))).write_text("")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(copy)
        server.bind("sock")
    message = refused(copy)
    assert message.count("symbolic link") == 3
    assert message.count("device, pipe or socket") == 2
    assert "bell\\x07.txt: has control" in message
    assert "right\\u202eleft" in message
    assert "longer than 200 bytes" in message
    assert "not UTF-8" in message
    assert "a..b" in message
    assert "\a" not in message


@pytest.fixture(autouse=True)
def _stay():
    before = Path.cwd()
    yield
    os.chdir(before)


def test_a_link_in_the_place_of_the_root_is_followed_once(copy, tmp_path):
    (tmp_path / "link").symlink_to(copy)
    assert inspect_model_files(tmp_path / "link").root == copy.resolve()


def test_too_many_files_and_too_deep(copy, monkeypatch):
    deep = copy
    for _ in range(13):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "file").write_text("")
    assert "deeper than 12 levels" in refused(copy)
    shutil.rmtree(copy / "d")
    monkeypatch.setattr(manifest_module, "MAX_FILES", 3)
    assert "more than 3 files" in refused(copy)


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        ("config.json", {"auto_map": {"AutoConfig": "evil.Config"}}, "'auto_map'"),
        ("config.json", {"custom_pipelines": {"x": {}}}, "'custom_pipelines'"),
        ("config.json", {"text_config": {"auto_map": {}}}, "'auto_map'"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tok", None]}}, "'auto_map'"),
        ("config.json", {"_attn_implementation": "someone/kernel"}, "downloaded code"),
        ("config.json", {"is_encoder_decoder": True, "architectures": ["T5Model"]}, "encoder-decoder"),
        ("config.json", {"architectures": ["LlamaForSequenceClassification"]}, "without a language-model head"),
        ("config.json", {"model_type": None}, "no 'model_type'"),
    ],
)
def test_configurations_that_are_refused(copy, file, changes, says):
    change(copy / file, **changes)
    assert says in refused(copy)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"megatron_config": {"x": 1}}, "'megatron_config'"),
        ({"megatron_core": "evil"}, "'evil'"),
        ({"auto_mapping": {"parent_library": "evil", "base_model_class": "X"}}, "auto_mapping"),
        ({"peft_type": "XLORA"}, "XLORA"),
        ({"peft_type": "PROMPT_TUNING"}, "merge_and_unload"),
        ({"corda_config": {"cache_file": "x.pkl"}}, "'cache_file'"),
        ({"arrow_config": {}}, "'arrow_config'"),
        ({"alora_invocation_tokens": [1]}, "'alora_invocation_tokens'"),
        ({"task_type": "SEQ_CLS"}, "SEQ_CLS"),
    ],
)
def test_adapters_that_are_refused(adapter_copy, changes, says):
    change(adapter_copy / "adapter_config.json", **changes)
    assert says in refused(adapter_copy)


def test_a_tokenizer_that_names_files_elsewhere(copy, tmp_path):
    (copy / "tokenizer.json").rename(tmp_path / "elsewhere.json")
    (copy / "vocab.json").write_text("{}")
    change(copy / "tokenizer_config.json", tokenizer_file=str(tmp_path / "elsewhere.json"))
    assert "'tokenizer_file'" in refused(copy)
    shutil.copy(tmp_path / "elsewhere.json", copy / "tokenizer.json")
    inspect_model_files(copy)  # a leftover of older transformers, which the file beside it overrides


def test_an_adapter_made_without_task_type_is_fine(adapter_copy):
    mapping = {"parent_library": "transformers.models.llama.modeling_llama", "base_model_class": "LlamaForCausalLM"}
    change(adapter_copy / "adapter_config.json", auto_mapping=mapping, task_type=None)
    inspect_model_files(adapter_copy)


def test_all_faults_of_a_configuration_come_together(copy):
    change(copy / "config.json", auto_map={}, is_encoder_decoder=True, model_type=3)
    message = refused(copy)
    assert "auto_map" in message
    assert "encoder-decoder" in message
    assert "model_type" in message


def test_folders_that_are_no_model(tmp_path, copy, adapter_copy):
    (tmp_path / "empty").mkdir()
    assert "it holds nothing" in refused(tmp_path / "empty")
    assert "does not exist" in refused(tmp_path / "gone")
    assert "is not a folder" in refused(copy / "config.json")
    (tmp_path / "two").mkdir()
    shutil.copytree(copy, tmp_path / "two" / "a")
    shutil.copytree(copy, tmp_path / "two" / "b")
    assert "a/config.json" in refused(tmp_path / "two")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (copy / name).unlink()
    assert "no tokenizer" in refused(copy)
    shutil.copytree(adapter_copy, copy, dirs_exist_ok=True)
    assert "whole model and an adapter" in refused(copy)
    (adapter_copy / "adapter_model.safetensors").unlink()
    assert "no adapter_model.safetensors" in refused(adapter_copy)


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', "[" * 100_000, '{"a": ' * 3000 + "1" + "}" * 3000, "\xff"])
def test_json_that_is_none(copy, text):
    (copy / "config.json").write_text(text, "latin-1")
    assert "config.json" in refused(copy)


def test_a_configuration_has_a_limit_of_size(copy):
    (copy / "config.json").write_text('{"x": "' + "a" * (1 << 20) + '"}')
    assert "too large" in refused(copy)


def test_safetensors_that_are_none(copy):
    weights = copy / "model.safetensors"
    good = weights.read_bytes()
    size = struct.unpack("<Q", good[:8])[0]
    header, body = json.loads(good[8 : 8 + size]), good[8 + size :]
    name = next(key for key in header if key != "__metadata__")

    def write(changed: dict, rest: bytes = body) -> str:
        raw = json.dumps(changed).encode()
        weights.write_bytes(struct.pack("<Q", len(raw)) + raw + rest)
        return refused(copy)

    assert "no well-formed safetensors" in write({**header, name: {**header[name], "data_offsets": [1, 9]}})
    assert "no well-formed safetensors" in write(header, body + b"hidden")
    assert "no well-formed safetensors" in write(header, body[:-1])
    assert "not described" in write({**header, name: {"dtype": "F32"}})
    assert "not described" in write({**header, name: {**header[name], "shape": ["x"]}})
    assert "not described" in write({**header, name: 5})
    for raw in (b"", b"abc", b"\xff" * 8 + b"{}", struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 3) + b"{x}"):
        weights.write_bytes(raw)
        assert "no well-formed safetensors" in refused(copy)
    twice = f'{{"a": {json.dumps(header[name])}, "b": {json.dumps(header[name])}}}'
    assert "overlap" in write(json.loads(twice))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flavors: {transformers: {model_binary: ../outside}}", "model_binary names '../outside'"),
        ("flavors: {transformers: {model_binary: /etc}}", "model_binary names '/etc'"),
        ("flavors: {transformers: {model_binary: gone}}", "no folder of this model"),
        ("flavors: {transformers: {model_binary: 3}}", "no folder of this model"),
        ("flavors: {transformers: {task: text-generation}}", "save_pretrained=False"),
        ("flavors: {sklearn: {}, python_function: {}}", "python_function, sklearn"),
        ("flavors: [", "not valid YAML"),
        ("a: &a [1]\na: *a", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("x" * (1 << 20) + "x", "larger than 1 MiB"),
    ],
)
def test_an_mlmodel_only_names_folders_of_its_own(tmp_path, llama, text, says):
    shutil.copytree(llama, tmp_path / "outside")
    (tmp_path / "model").mkdir()
    shutil.copytree(llama, tmp_path / "model" / "sub")
    (tmp_path / "model" / "MLmodel").write_text(text)
    assert says in refused(tmp_path / "model")


def test_an_mlmodel_of_another_kind_beside_a_plain_folder_does_not_matter(copy):
    before = inspect_model_files(copy).digest
    (copy / "MLmodel").write_text("flavors: {python_function: {}}")
    assert inspect_model_files(copy).digest == before


def test_mlflow_transformers_layout_by_hand(tmp_path, llama):
    shutil.copytree(llama, tmp_path / "model")
    (tmp_path / "components" / "tokenizer").mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / "model" / name).rename(tmp_path / "components" / "tokenizer" / name)
    flavor = {"model_binary": "model", "components": ["tokenizer"], "source_model_name": "org/base\u202e"}
    (tmp_path / "MLmodel").write_text(json.dumps({"flavors": {"transformers": flavor}}))
    files = inspect_model_files(tmp_path)
    assert files.layout == "mlflow-transformers"
    assert files.tokenizer == tmp_path / "components" / "tokenizer"
    assert files.digest == inspect_model_files(llama).digest
    assert files.base_claim == "org/base\\u202e"
    shutil.rmtree(tmp_path / "components")
    assert "no tokenizer" in refused(tmp_path)


def test_large_numbers_of_a_configuration_are_read_as_transformers_reads_them(tmp_path):
    make_model(tmp_path)
    make_tokenizer(tmp_path)
    change(tmp_path / "config.json", time_step_limit=[0.0, float("inf")])
    inspect_model_files(tmp_path)
