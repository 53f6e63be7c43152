"""What the columns of a dataset are, by their names and by what is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from finetune_gate.evaluators.datasets import Dataset, DatasetSource
from finetune_gate.evaluators.scored_text import conversation
from finetune_gate.evaluators.slots import slot_names

from .found import Role

MERGE_KEY = "<<"
"""A gate file may not hold it, as name or as value."""

_IDS = ("example_id", "uuid", "guid", "qid", "question_id", "idx")
_GROUPS = (
    "group_id", "customer_id", "user_id", "author", "author_id", "patient_id", "doc_id", "document_id", "article_id",
    "conversation_id", "thread_id", "session_id",
)  # fmt: skip
_ROLES: tuple[tuple[Role, tuple[str, ...]], ...] = (("id", _IDS), ("group", _GROUPS))
_LONGEST_VALUE = 60
_MOST_VALUES = 20


@dataclass(frozen=True)
class Columns:
    """The columns of one dataset, asked for by what they are good for."""

    dataset: Dataset

    def cells(self, column: str) -> list[object]:
        return [example.row.get(column) for example in self.dataset.examples]

    def named(self, *names: str) -> list[str]:
        """Those of these names, in this order, in any case, that can stand in a prompt."""
        by_name = {column.lower(): column for column in reversed(self.dataset.columns)}
        return [by_name[name] for name in names if name in by_name and fits_a_prompt(by_name[name])]

    def text(self, *names: str) -> str | None:
        """The first of these names that holds a text in every row."""
        return next((name for name in self.named(*names) if all(map(_is_text, self.cells(name)))), None)

    def answers(self, *names: str) -> str | None:
        """The first that holds, in every row, a text or a list of texts."""
        return next((name for name in self.named(*names) if all(map(_are_texts, self.cells(name)))), None)

    def lists(self, *names: str) -> str | None:
        """The first that holds a list of texts in every row."""
        return next((name for name in self.named(*names) if all(map(_is_list_of_texts, self.cells(name)))), None)

    def conversations(self, *names: str) -> str | None:
        return next(
            (name for name in self.named(*names) if all(conversation(cell) is not None for cell in self.cells(name))),
            None,
        )

    def labels(self, *names: str, most: int) -> str | None:
        """The first that holds 2 to ``most`` different texts, one in every row."""
        for name in self.named(*names):
            found = {cell for cell in self.cells(name) if isinstance(cell, str)}
            if all(map(_is_text, self.cells(name))) and 2 <= len(found) <= most and MERGE_KEY not in found:
                return name
        return None

    @cached_property
    def longest_text(self) -> str | None:
        """The column with most text; None where no column holds any."""
        lengths = {
            column: sum(len(cell) for cell in self.cells(column) if isinstance(cell, str))
            for column in self.dataset.columns
            if column != MERGE_KEY
        }
        longest = max(lengths, key=lambda column: lengths[column], default=None)
        return longest if longest is not None and lengths[longest] else None

    def counts(self, column: str) -> Counter[str]:
        return Counter(cell for cell in self.cells(column) if isinstance(cell, str))

    def sliceable(self, used: Iterable[str]) -> dict[str, Counter[str]]:
        """Columns of a few texts that come again and again, but for those in ``used``: what rules can judge apart."""
        found: dict[str, Counter[str]] = {}
        for column in self.dataset.columns:
            cells = [cell for cell in self.cells(column) if cell is not None]
            if column in {*used, MERGE_KEY} or not all(isinstance(cell, str) for cell in cells):
                continue
            values = self.counts(column)
            few = 2 <= len(values) <= min(_MOST_VALUES, len(cells) // 2)
            if few and all(len(value) <= _LONGEST_VALUE for value in values):
                found[column] = values
        return found


def source_of(dataset: Dataset) -> Mapping[Role, str]:
    """Columns that hold ids and clusters under other names than ``id`` and ``group``, by what is in them: ids are all
    different, clusters come again."""
    roles: dict[Role, str] = {}
    fields = DatasetSource.model_fields
    for role, names in _ROLES:
        if fields[role].default in dataset.columns:
            continue
        for column in (one for one in dataset.columns if one.lower() in names):
            values = [example.row.get(column) for example in dataset.examples]
            plain = all(
                isinstance(one, (str, int)) and not isinstance(one, bool) and str(one).strip() for one in values
            )
            different = len(set(map(str, values)))
            if plain and (different == len(values) if role == "id" else 1 < different < len(values)):
                roles[role] = column
                break
    return roles


def fits_a_prompt(column: str) -> bool:
    return slot_names(f"{{{column}}}") == (column,)


def _is_text(cell: object) -> bool:
    return isinstance(cell, str) and bool(cell.strip())


def _is_list_of_texts(cell: object) -> bool:
    items = cast("list[object]", cell) if isinstance(cell, list) else []
    return bool(items) and all(map(_is_text, items))


def _are_texts(cell: object) -> bool:
    return _is_text(cell) or _is_list_of_texts(cell)
