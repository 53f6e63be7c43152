"""Registered models that finetune-gate keeps its books in, and that hold no models.

own_name("ledger", "support-bot")            # finetune-gate.ledger.support-bot
is_own("finetune-gate.turns.support-bot")    # True: not to be listed, watched or gated
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Literal, get_args

Book = Literal["ledger", "turns"]
"""``ledger``: the moves of a model's aliases. ``turns``: who gates which of its versions."""

_MAX_NAME: Final = 256
_PREFIXES: Final = tuple(f"finetune-gate.{book}." for book in get_args(Book))


def own_name(book: Book, model: str) -> str:
    """The registered model that holds a book about ``model``: readable, and legal where ``model`` is."""
    name = f"finetune-gate.{book}.{model}"
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - 17]}.{sha256(model.encode()).hexdigest()[:16]}"


def is_own(name: str) -> bool:
    """Whether the registered model ``name`` is such a book."""
    return name.startswith(_PREFIXES)
