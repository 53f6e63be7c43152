"""Between texts and what a model takes and gives. Runs in the worker, and knows no model's code.

A text goes in as the model was logged to take it:

- scikit-learn: as the fitted estimator says. One that was fitted on a table (``feature_names_in_``) gets a table with
  its one column; one that was fitted on texts, as vectorizers are, gets the texts. MLflow's signature is not asked: the
  same one is written for both.
- any other: a table with the signature's one column, or ``text`` where there is no signature or it has no name; an
  array where the signature is a tensor.

What comes out counts if it is one text, number or truth value per row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import isfinite
from typing import Any, Final, Literal, Protocol, cast

from .messages import MAX_TEXT

DEFAULT_COLUMN: Final = "text"


class CannotAsk(Exception):
    """Why a model cannot be asked with one text per row."""


@dataclass(frozen=True, slots=True)
class InputForm:
    """``table``: one named column. ``texts``: a list. ``array``: strings in ``dimensions`` dimensions."""

    kind: Literal["table", "texts", "array"]
    column: str = DEFAULT_COLUMN
    dimensions: int = 1


def form_of_signature(inputs: Sequence[Mapping[str, object]] | None) -> InputForm:
    """The form that a pyfunc's input schema asks for, as MLflow writes it: ``[{"type": "string", "name": "text"}]``.

    Raises CannotAsk where one text is not enough, or no text.
    """
    if not inputs:
        return InputForm("table")
    needed = [column for column in inputs if column.get("required", True)] or list(inputs)
    texts = [column for column in needed if column.get("type") in ("string", "any")]
    if len(needed) > 1:
        names = ", ".join(str(column.get("name")) for column in needed)
        raise CannotAsk(f"its signature needs {len(needed)} inputs ({names[:200]}), and a prompt is one text")
    if needed[0].get("type") == "tensor":
        return _array(cast("Mapping[str, object]", needed[0].get("tensor-spec") or {}))
    if not texts:
        raise CannotAsk(f"its signature takes {str(needed[0].get('type'))[:100]!r}, and a prompt is text")
    return InputForm("table", str(texts[0].get("name") or DEFAULT_COLUMN))


def form_of_estimator(estimator: object) -> InputForm:
    """The form a fitted scikit-learn estimator takes. Raises CannotAsk where that is more than one column."""
    names = cast("Sequence[object] | None", getattr(estimator, "feature_names_in_", None))
    if names is None:
        return InputForm("texts")
    if len(names) != 1:
        raise CannotAsk(f"it was fitted on {len(names)} columns, and a prompt is one text")
    return InputForm("table", str(names[0]))


def filled(form: InputForm, texts: Sequence[str]) -> object:
    """``texts`` in that form."""
    if form.kind == "texts":
        return list(texts)
    if form.kind == "array":
        import numpy as np

        return np.array(list(texts)).reshape([len(texts)] + [1] * (form.dimensions - 1))
    pandas: Any = import_module("pandas")  # without types of its own
    return pandas.DataFrame({form.column: list(texts)})


def values_of(output: object) -> list[object]:
    """The predictions, one per row. Raises CannotAsk where ``output`` is no such thing."""
    columns = cast("Sequence[object] | None", getattr(output, "columns", None))
    if columns is not None:
        if len(columns) != 1:
            raise CannotAsk(f"it returned a table of {len(columns)} columns, and not one value per row")
        output = cast("_Table", output).iloc[:, 0]
    found = cast("_Listable", output).tolist() if hasattr(output, "tolist") else output
    if not isinstance(found, list | tuple):
        kind = type(found).__name__
        raise CannotAsk(f"it returned {kind}, and not one value per row")
    return list(cast("Sequence[object]", found))


def answer_of(value: object) -> dict[str, str]:
    """``{"text": ...}``, or ``{"failed": why}`` for a value that is no text, number or truth value."""
    as_python = getattr(value, "item", None)
    if callable(as_python) and type(value).__module__ == "numpy":
        value = as_python()
    if isinstance(value, list | tuple):
        cells = cast("Sequence[object]", value)
        value = cells[0] if len(cells) == 1 else cells
    if isinstance(value, float) and not isfinite(value):
        return {"failed": f"the prediction is {value}"}
    if isinstance(value, str | bool | int | float):
        text = str(value)
        return {"text": text} if len(text) <= MAX_TEXT else {"failed": f"the prediction has {len(text):,} characters"}
    return {"failed": f"the prediction is a {type(value).__name__}, and not a text, number or truth value"}


def _array(spec: Mapping[str, object]) -> InputForm:
    shape = cast("Sequence[int]", spec.get("shape") or [-1])
    if spec.get("dtype") not in ("str", "object"):
        raise CannotAsk(f"its signature takes an array of {str(spec.get('dtype'))[:50]}, and a prompt is text")
    if any(length not in (1, -1) for length in shape[1:]):
        raise CannotAsk(f"its signature takes an array of shape {list(shape)}, and a prompt is one text")
    return InputForm("array", dimensions=len(shape))


class _Listable(Protocol):
    def tolist(self) -> object: ...


class _Table(Protocol):
    @property
    def iloc(self) -> _Cells: ...


class _Cells(Protocol):
    def __getitem__(self, at: tuple[slice, int]) -> object: ...
