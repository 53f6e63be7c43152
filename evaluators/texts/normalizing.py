"""Normal forms and words of texts in any script.

``words`` are what ROUGE counts outside ASCII; ``normalized_answer`` and ``answer_words`` are SQuAD's normal form, which
exact match and token F1 compare. On ASCII text both do what the reference programs do.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from string import punctuation
from typing import Protocol, cast

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", punctuation)
SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts written without spaces: every character with its marks is a word, as in ROUGE and BLEU for Chinese."""


class Pattern(Protocol):
    """What is used of a pattern of the package ``regex``, which has no types of its own."""

    def findall(self, string: str) -> list[str]: ...
    def sub(self, repl: str, string: str) -> str: ...


def folded(text: str) -> str:
    """``text`` without differences of case, width and composition (NFKC around Unicode case folding)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def ascii_words(text: str) -> list[str]:
    """Lower-case runs of a-z and 0-9: rouge_score's default tokenizer, to which other letters are spaces."""
    return _ASCII_WORD.findall(text.lower())


def words(text: str) -> list[str]:
    """Folded runs of letters, marks and digits of any script; equal to ``ascii_words`` where the text is ASCII."""
    if text.isascii():
        return ascii_words(text)
    return compiled(rf"[{SPACELESS}][\p{{M}}ー]*|[[\p{{L}}\p{{M}}\p{{N}}]--[{SPACELESS}]]+").findall(folded(text))


def normalized_answer(text: str) -> str:
    """``normalized_answer("The  Eiffel-Tower!")`` is ``"eiffeltower"``.

    Case, punctuation, the articles a, an, the, and runs of white space go, in this order. Source: the evaluation
    script of SQuAD (arXiv 1606.05250); punctuation beyond ASCII as in that of MLQA (arXiv 1910.07475).
    """
    plain = folded(text)
    if plain.isascii():
        plain = plain.translate(_WITHOUT_PUNCTUATION)
    else:
        plain = compiled(rf"[\p{{P}}{re.escape(punctuation)}]").sub("", plain)
    return " ".join(_ARTICLE.sub(" ", plain).split())


def answer_words(normalized: str) -> list[str]:
    """Words of a ``normalized_answer``: what white space separates, and single characters of scripts without spaces."""
    if normalized.isascii():
        return normalized.split()
    return compiled(rf"[{SPACELESS}][\p{{M}}ー]*|[^\s{SPACELESS}]+").findall(normalized)


@cache
def compiled(source: str) -> Pattern:
    """``source`` as a pattern of the package ``regex``, which knows scripts and kinds of characters; compiled once."""
    import regex  # pyright: ignore[reportMissingTypeStubs] - it has none

    return cast("Pattern", regex.compile(source, regex.VERSION1))
