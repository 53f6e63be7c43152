"""Which judges may favour their own, told from names."""

from __future__ import annotations

import pytest

from finetune_gate.gate.kinship import family_of, kin_of_judges, kinship_warning


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4o", "gpt"),
        ("ft:gpt-4o-mini-2024-07-18:acme::Ab12", "gpt"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen"),
        ("/srv/models/Llama-3.1-8B", "llama"),
        ("o3-mini", "o"),
        ("42", ""),
        ("", ""),
    ],
)
def test_a_family_is_how_a_name_begins(name: str, family: str) -> None:
    assert family_of(name) == family


def test_kin_are_named_and_strangers_are_not() -> None:
    judged = {"candidate": "ft:gpt-4o-mini:acme", "base": "gpt-4o-mini", "champion": "42"}
    kin = kin_of_judges(judged, {"openai:/gpt-4o": "gpt-4o", "vllm:/qwen": "Qwen2.5", "vllm:/1": "1"})
    assert kin == {"openai:/gpt-4o": ("candidate", "base")}
    assert "of the family of candidate and base" in kinship_warning(*next(iter(kin.items())))
