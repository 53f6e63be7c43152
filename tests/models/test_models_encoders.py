"""Encoders: what their folders say, vectors and entailments by transformers itself, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import CORPUS, pins
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from finetune_gate.evaluators.asking import (
    Answer,
    Embedding,
    EmbedRequest,
    Entailment,
    EntailRequest,
    Failed,
    GenerateRequest,
    ScoreRequest,
)
from finetune_gate.evaluators.errors import ModelError, ModelFilesError
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.encoder_files import encoder_task, inspect_encoder, is_encoder
from finetune_gate.gate.models.encoding_models import EncoderModel, open_encoder
from finetune_gate.gate.models.inspecting import inspect_model
from finetune_gate.gate.models.manifest import list_files
from finetune_gate.gate.models.protocol import Embeds, Entails
from finetune_gate.gate.pins import EncoderFiles, ModelPin
from finetune_gate.gate.run.shards import ask as ask_shard

LABELS = {0: "CONTRADICTION", 1: "Entailment", 2: "neutral"}
PAIRS = [(CORPUS[0], CORPUS[1]), ("The app crashes.", "It works."), (CORPUS[2], "Thanks!"), ("a", "b")]


def make_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    raw.train_from_iterator(
        CORPUS * 4,
        trainers.WordPieceTrainer(
            vocab_size=300, special_tokens=special, initial_alphabet=list("qzxjkw0123456789!"), show_progress=False
        ),
    )
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=40,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)


def make_encoder(folder: Path, labels: dict[int, str] | None = None, kind: str = "bert") -> Path:
    import transformers

    torch.manual_seed(3)
    settings = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    settings |= {"vocab_size": 300, "max_position_embeddings": 40, "initializer_range": 0.3, "pad_token_id": 0}
    if labels:
        settings["id2label"] = labels
    name = {"bert": "Bert", "roberta": "Roberta"}[kind]
    config = getattr(transformers, f"{name}Config")(**settings)
    made = getattr(transformers, f"{name}ForSequenceClassification" if labels else f"{name}Model")(config)
    made.eval().save_pretrained(folder)
    make_tokenizer(folder)
    return folder


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


@pytest.fixture(scope="module")
def sentences(tmp_path_factory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("sentences"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("nli"), LABELS)


@pytest.fixture
def copy(tmp_path, sentences) -> Path:
    shutil.copytree(sentences, tmp_path / "copy")
    return tmp_path / "copy"


def embedded(model: EncoderModel, *texts: str) -> list[Answer]:
    answers: dict[int, Answer] = {}
    model.embed([EmbedRequest(text) for text in texts], answers.__setitem__)
    return [answers[at] for at in range(len(texts))]


def vector(answer: Answer) -> tuple[float, ...]:
    assert isinstance(answer, Embedding), answer
    return answer.vector


def by_hand(folder: Path, text: str, pooling: str) -> list[float]:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        states = model(**tokenizer(text, truncation=True, max_length=40, return_tensors="pt")).last_hidden_state[0]
    pooled = states[0] if pooling == "cls" else states.mean(0)
    return (pooled / pooled.norm()).tolist()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("batch_tokens", ["auto", 1])
def test_vectors_are_those_of_transformers_in_any_batch(copy, pooling, batch_tokens):
    write(
        copy,
        "1_Pooling/config.json",
        {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"},
    )
    files = inspect_encoder(copy)
    assert (files.task, files.pooling) == ("embeds", pooling)
    texts = [*CORPUS, " ".join(CORPUS)]
    with open_encoder(files, batch_tokens=batch_tokens) as model:
        for text, answer in zip(texts, embedded(model, *texts), strict=True):
            assert vector(answer) == pytest.approx(by_hand(copy, text, pooling), abs=1e-5)
        assert model.usage().prompt_tokens == model.tokens([EmbedRequest(text) for text in texts]).read > 0


@pytest.mark.parametrize("labels", [LABELS, {0: "entailment", 1: "neutral", 2: "contradiction"}])
def test_entailments_are_those_of_transformers_whatever_the_order_of_labels(tmp_path, labels):
    make_encoder(tmp_path, labels)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    answers: dict[int, Answer] = {}
    with open_encoder(inspect_encoder(tmp_path)) as model:
        model.entail([EntailRequest(*pair) for pair in PAIRS], answers.__setitem__)
    for at, pair in enumerate(PAIRS):
        with torch.inference_mode():
            shares = plain(**tokenizer(*pair, return_tensors="pt")).logits[0].softmax(-1)
        named = {labels[place].lower(): float(share) for place, share in enumerate(shares)}
        answer = answers[at]
        assert isinstance(answer, Entailment)
        found = (answer.entailment, answer.neutral, answer.contradiction)
        assert found == pytest.approx((named["entailment"], named["neutral"], named["contradiction"]), abs=1e-5)
        assert sum(found) == pytest.approx(1.0)


def test_a_pair_that_is_too_long_and_a_text_of_nothing_fail(classifier, sentences):
    answers: dict[int, Answer] = {}
    with open_encoder(inspect_encoder(classifier)) as model:
        model.entail([EntailRequest(" ".join(CORPUS), "x"), EntailRequest(*PAIRS[0])], answers.__setitem__)
        assert isinstance(answers[0], Failed)
        assert "the model reads 40" in answers[0].reason
        assert isinstance(answers[1], Entailment)
    with open_encoder(inspect_encoder(sentences)) as model:
        empty, full = embedded(model, "", "invoice")
        assert empty == Failed("the text has no tokens of its own")
        assert isinstance(full, Embedding)


def test_abilities_are_what_the_folder_holds(sentences, classifier):
    asked = [EmbedRequest("invoice"), EntailRequest("a", "b"), GenerateRequest("a"), ScoreRequest("a", "b")]
    for folder, able in ((sentences, 0), (classifier, 1)):
        with open_encoder(inspect_encoder(folder)) as model:
            assert isinstance(model, Embeds)
            assert isinstance(model, Entails)
            assert model.abilities == {asked[able].needs}
            answers = ask_shard(model, asked, lambda *_: None)
            assert [request for request, answer in answers.items() if not isinstance(answer, Failed)] == [asked[able]]
            found: dict[int, Answer] = {}
            model.generate([GenerateRequest("a")], found.__setitem__)
            assert found == {0: Failed("this encoder does not have the ability 'generates'")}
            assert len(set(model.addresses(asked))) == 4
            assert model.facts()["context_tokens"] == 40


def test_a_classifier_made_of_a_decoder_reads_the_last_token_in_any_batch(tmp_path):
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(1)
    settings = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = LlamaConfig(**settings, vocab_size=300, max_position_embeddings=40, id2label=LABELS)
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    make_tokenizer(tmp_path)
    found: list[dict[int, Answer]] = []
    for batch_tokens in ("auto", 1):
        found.append({})
        with open_encoder(inspect_encoder(tmp_path), batch_tokens=batch_tokens) as model:
            model.entail([EntailRequest(*pair) for pair in PAIRS], found[-1].__setitem__)
    for at in range(len(PAIRS)):
        together, alone = found[0][at], found[1][at]
        assert isinstance(together, Entailment)
        assert isinstance(alone, Entailment)
        assert together.entailment == pytest.approx(alone.entailment, abs=1e-5)


def test_positions_that_padding_takes_are_not_used(tmp_path):
    make_encoder(tmp_path, kind="roberta")
    with open_encoder(inspect_encoder(tmp_path)) as model:
        assert model.facts()["context_tokens"] == 39
        (answer,) = embedded(model, " ".join(CORPUS))
        assert isinstance(answer, Embedding)


def test_the_folder_of_sentence_transformers_is_read(copy):
    plain = inspect_encoder(copy)
    kinds = ("Transformer", "Pooling", "Normalize")
    paths = ("", "1_Pooling", "2_Normalize")
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write(copy, "modules.json", modules)
    write(copy, "1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    write(copy, "sentence_bert_config.json", {"max_seq_length": 9, "do_lower_case": True})
    files = inspect_encoder(copy)
    assert (files.pooling, files.longest, files.lowercase) == ("cls", 9, True)
    assert files.digest != plain.digest
    with open_encoder(files) as model:
        assert model.facts()["context_tokens"] == 9
        assert model.tokens([EmbedRequest(CORPUS[0])]).read == 9

    write(copy, "1_Pooling/config.json", {"pooling_mode_lasttoken": True})
    with pytest.raises(ModelFilesError, match="pools by lasttoken"):
        inspect_encoder(copy)
    write(copy, "modules.json", [*modules, {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}])
    with pytest.raises(ModelFilesError, match="has the module 'Dense'"):
        inspect_encoder(copy)


@pytest.mark.parametrize(
    "labels",
    [
        {0: "entailment", 1: "not_entailment"},
        {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"},
        {0: "entailment", 1: "neutral", 2: "contradiction", 3: "other"},
    ],
)
def test_classifiers_of_anything_else_are_refused(tmp_path, labels):
    make_encoder(tmp_path, labels)
    with pytest.raises(ModelFilesError, match="the three labels entailment, neutral, contradiction"):
        inspect_encoder(tmp_path)


def test_the_folder_may_lie_below_as_mlflow_keeps_it(tmp_path, sentences):
    shutil.copytree(sentences, tmp_path / "model.sbert")
    write(tmp_path, "model.sbert/modules.json", [{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])
    write(tmp_path, "model.sbert/1_Pooling/config.json", {"pooling_mode": "cls"})
    assert inspect_encoder(tmp_path).pooling == "cls"
    inner = tmp_path / "apart"
    shutil.copytree(sentences, inner / "0_Transformer")
    write(inner, "modules.json", [{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])
    write(inner, "1_Pooling/config.json", {"pooling_mode_cls_token": True})
    assert inspect_encoder(inner).pooling == "cls"


def test_judges_may_be_encoders_and_are_opened_like_other_models(llama, sentences, classifier):
    with pytest.raises(ModelFilesError, match="without a language-model head"):
        inspect_model(sentences)
    judges = {name: inspect_model(folder, encoders=True) for name, folder in (("a", sentences), ("b", classifier))}
    with_judges = replace(
        pins(llama, llama),
        judges={name: ModelPin("judge", name, None, None, None, "a test", found) for name, found in judges.items()},
    )
    with open_models(with_judges) as models:
        assert models["a"].abilities == {"embeds"}
        (answer,) = ask_shard(models["a"], [EmbedRequest("invoice")], lambda *_: None).values()
        assert isinstance(answer, Embedding)
        (answer,) = ask_shard(models["b"], [EntailRequest("a", "b")], lambda *_: None).values()
        assert isinstance(answer, Entailment)
    assert not isinstance(inspect_model(llama, encoders=True), EncoderFiles)


def test_code_and_pickles_are_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    write(copy, "config.json", {**config, "auto_map": {"AutoModel": "evil.Model"}})
    with pytest.raises(ModelFilesError, match="auto_map"):
        inspect_encoder(copy)
    write(copy, "config.json", config)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelFilesError, match="pickle"):
        inspect_encoder(copy)


def test_missing_weights_are_an_error_and_a_missing_pooler_is_none(copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    save_file(
        {key: value for key, value in weights.items() if not key.startswith("pooler")}, copy / "model.safetensors"
    )
    with open_encoder(inspect_encoder(copy)) as model:
        assert isinstance(embedded(model, "invoice")[0], Embedding)
    save_file({key: value for key, value in weights.items() if "layer.1" not in key}, copy / "model.safetensors")
    with open_encoder(inspect_encoder(copy)) as model, pytest.raises(ModelError, match="tensors are missing"):
        embedded(model, "invoice")


def test_what_is_an_encoder(sentences, classifier, llama):
    assert is_encoder(list_files(sentences))
    assert is_encoder(list_files(classifier))
    assert not is_encoder(list_files(llama))
    with pytest.raises(ModelFilesError, match="holds no encoder"):
        inspect_encoder(llama)
    for name, task in (
        ("BertForMaskedLM", "embeds"),
        ("ModernBertModel", "embeds"),
        ("DebertaV2ForSequenceClassification", "entails"),
        ("GPT2LMHeadModel", None),
        ("Gemma3ForConditionalGeneration", None),
    ):
        assert encoder_task({"architectures": [name]}) == task
    assert encoder_task({"architectures": ["T5EncoderModel"], "is_encoder_decoder": True}) is None
    assert encoder_task({}) is None


def test_the_same_files_have_one_digest_and_a_freed_model_answers_again(sentences, tmp_path):
    shutil.copytree(sentences, tmp_path / "inner" / "model")
    assert inspect_encoder(tmp_path / "inner").digest == inspect_encoder(sentences).digest
    with open_encoder(inspect_encoder(sentences)) as model:
        first = embedded(model, *CORPUS)
        model.release()
        assert embedded(model, *CORPUS) == first
