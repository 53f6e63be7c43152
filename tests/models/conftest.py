"""Models made once for the whole folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import CHAT, make_adapter, make_model, make_tokenizer


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def llama(tmp_path_factory) -> Path:
    """A Llama shape whose tokenizer adds BOS and has a chat template."""
    folder = tmp_path_factory.mktemp("llama")
    make_model(folder)
    make_tokenizer(folder, chat=CHAT)
    return folder


@pytest.fixture(scope="session")
def other_llama(tmp_path_factory) -> Path:
    """Of the same shape and tokenizer as ``llama``, with other weights."""
    folder = tmp_path_factory.mktemp("other_llama")
    make_model(folder, seed=7)
    make_tokenizer(folder, chat=CHAT)
    return folder


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory) -> Path:
    """A GPT-2 shape whose tokenizer has EOS only, and no chat template."""
    folder = tmp_path_factory.mktemp("gpt2")
    make_model(folder, "gpt2")
    make_tokenizer(folder, bos=False)
    return folder


@pytest.fixture(scope="session")
def adapter(tmp_path_factory, llama) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    make_adapter(folder, llama)
    return folder


@pytest.fixture(scope="session")
def other_adapter(tmp_path_factory, llama) -> Path:
    folder = tmp_path_factory.mktemp("other_adapter")
    make_adapter(folder, llama, seed=5, r=8, target_modules=["q_proj", "v_proj", "up_proj", "lm_head"])
    return folder
