"""What devices do to answers and to errors, as far as a CPU can show it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tiny_models import CORPUS, ask, logprobs, pins

from finetune_gate.evaluators.asking import GenerateRequest, ScoreRequest
from finetune_gate.evaluators.errors import ModelError
from finetune_gate.gate.models import open_models, scoring
from finetune_gate.gate.models.batching import Row
from finetune_gate.gate.models.loading import pick_device
from finetune_gate.gate.models.memory import in_batches
from finetune_gate.gate.models.network import Network
from finetune_gate.gate.models.precision import exact_float32

LABELS = [
    ScoreRequest(text, label, " ")
    for text in CORPUS
    for label in ("billing", "bug report", "praise", "refund to my card")
]


def settings() -> list[str]:
    """All that torch says about float32 products; asking the older way fails where only the newer one was used."""
    matmul = torch.backends.cuda.matmul
    found = [str(getattr(owner, "fp32_precision", None)) for owner in (matmul, torch.backends.mkldnn)]
    for ask_older in (torch.get_float32_matmul_precision, lambda: matmul.allow_tf32):
        try:
            found.append(str(ask_older()))
        except RuntimeError:
            found.append("mixed")
    return found


@pytest.fixture(params=["untouched", "medium", "high", "allow_tf32", "one by one"])
def careless(request):
    """A process that was set to round the factors of products, in every way there is."""
    matmul = torch.backends.cuda.matmul
    match request.param:
        case "medium" | "high":
            torch.set_float32_matmul_precision(request.param)
        case "allow_tf32":
            matmul.allow_tf32 = True
        case "one by one":
            if not hasattr(matmul, "fp32_precision"):
                pytest.skip("this torch has the older settings only")
            matmul.fp32_precision = "tf32"
            torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        case _:
            pass
    yield
    torch.set_float32_matmul_precision("highest")
    for owner in (matmul, getattr(torch.backends.mkldnn, "matmul", None)):
        if hasattr(owner, "fp32_precision"):
            owner.fp32_precision = "ieee"


def test_float32_is_float32_whatever_the_process_was_set_to(llama, careless, monkeypatch):
    seen: set[str] = set()

    def watched(name: str):
        original = getattr(Network, name)

        def call(*args, **options):
            seen.add(torch.get_float32_matmul_precision())
            seen.add(str(getattr(torch.backends.cuda.matmul, "fp32_precision", "ieee")))
            return original(*args, **options)

        monkeypatch.setattr(Network, name, call)

    watched("_hidden")
    watched("following")
    before = settings()
    with open_models(pins(llama, llama)) as models:
        ask(models["candidate"], [*LABELS, GenerateRequest("My invoice", 3)])
    assert seen == {"highest", "ieee"}
    assert settings() == before


def test_settings_come_back_after_an_error(careless):
    before = settings()
    with pytest.raises(KeyError), exact_float32():
        raise KeyError
    assert settings() == before


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named_as_what_is_wrong(llama, device):
    with open_models(pins(llama, llama), device=device) as models, pytest.raises(ModelError) as caught:
        ask(models["candidate"], LABELS[:1])
    assert caught.value.problems[0].where == "device"
    assert repr(device) in caught.value.problems[0].found
    assert "auto" in caught.value.problems[0].way_out


def test_auto_is_what_torch_has():
    assert pick_device("auto") == (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 18.00 GB)",
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_every_way_of_saying_that_memory_ran_out_halves_the_batch(said):
    done: list[int] = []

    def work(items: Sequence[int]) -> None:
        if len(items) > 2:
            raise RuntimeError(said)
        done.extend(items)

    in_batches([4] * 9, lambda item: item, 36, work)
    assert done == [4] * 9


def test_memory_that_runs_out_in_a_trial_says_nothing_about_the_architecture(llama, monkeypatch):
    def full(*_: object, **__: object):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    with open_models(pins(llama, llama)) as models:
        for name in ("_hidden", "following"):
            with monkeypatch.context() as patch:
                patch.setattr(Network, name, full)
                with pytest.raises(ModelError, match=r"^memory: the model itself does not fit: CUDA out of memory"):
                    ask(models["candidate"], [LABELS[0], GenerateRequest("My invoice", 3)])
        ask(models["candidate"], [LABELS[0], GenerateRequest("My invoice", 3)])
        network = models["candidate"]._weights._network
        assert (network.splits, network.branches, network.caches) == (True,) * 3


def test_weights_that_do_not_fit_are_no_fault_of_the_files(llama, monkeypatch):
    def full(*_: object, **__: object):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with open_models(pins(llama, llama)) as models, pytest.raises(ModelError, match="model itself does not fit") as got:
        ask(models["candidate"], LABELS[:1])
    assert "save it again" not in str(got.value)


def test_branches_share_a_row_only_as_long_as_its_mask_is_affordable(llama, monkeypatch):
    branched: list[int] = []
    original = Network.chunks

    def watched(self: Network, rows: Sequence[Row], *rest, **options):
        branched.extend(row.length for row in rows if row.branches)
        return original(self, rows, *rest, **options)

    monkeypatch.setattr(Network, "chunks", watched)
    with open_models(pins(llama, llama)) as models:
        free = ask(models["candidate"], LABELS)
        cap = max(branched) - 1
        monkeypatch.setattr(scoring, "MAX_BRANCHED", cap)
        branched.clear()
        capped = ask(models["candidate"], LABELS)
    assert 0 < max(branched) <= cap
    for left, right in zip(free, capped, strict=True):
        assert logprobs(left) == pytest.approx(logprobs(right), abs=1e-4)
