"""Where a tokenizer surely begins a new token: then a prompt need not be encoded again with each of its continuations.

Byte-level BPE cuts a text into words by a pattern before it merges anything. In the patterns of the GPT-2 and GPT-4
families, which Llama 3 and Qwen use too, a space can only begin a word. So what stands before a space that follows a
letter, digit or sign, and what stands from it on, are encoded alike together and apart. Whatever is not known to be so
is encoded together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from .foreign import Tokenizer

_CONTRACTIONS = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)")
_DIGITS = (r"\p{N}", r"\p{N}{1,3}", r"\p{N}{1,2}")
_PATTERNS = frozenset(
    rf"{contraction}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for contraction in _CONTRACTIONS
    for digits in _DIGITS
)


def cuts_at_spaces(tokenizer: Tokenizer) -> bool:
    """Whether the text before " x" and the text from there on can be encoded apart, whatever they are."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    encode = getattr(type(tokenizer), "_encode_plus", None)
    if backend is None or getattr(encode, "__module__", "") != "transformers.tokenization_utils_tokenizers":
        return False
    if type(backend.model).__name__ != "BPE" or any(
        map(_may_span_or_strip, backend.get_added_tokens_decoder().values())
    ):
        return False
    normalizer, splitter = _settings(backend.normalizer), _settings(backend.pre_tokenizer)
    if normalizer is not None and normalizer.get("type") != "NFC":
        return False
    return splitter is not None and _splits(splitter)


def _may_span_or_strip(token: Any) -> bool:
    return " " in token.content or token.rstrip


def _settings(part: Any) -> Mapping[str, Any] | None:
    return None if part is None else cast("Mapping[str, Any]", json.loads(part.__getstate__()))


def _splits(splitter: Mapping[str, Any]) -> bool:
    match splitter:
        case {"type": "ByteLevel", "use_regex": bool(by_pattern)}:
            return by_pattern
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False},
            ],
        }:
            return pattern in _PATTERNS
        case _:
            return False
