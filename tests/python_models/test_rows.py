"""Between texts and what a model takes and gives, without any model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from finetune_gate.gate.python_models.messages import HEADER, decode, encode
from finetune_gate.gate.python_models.rows import (
    CannotAsk,
    InputForm,
    answer_of,
    filled,
    form_of_estimator,
    form_of_signature,
    values_of,
)


def column(kind: str = "string", name: str | None = None, required: bool = True) -> dict[str, object]:
    return {"type": kind, "required": required} | ({} if name is None else {"name": name})


def tensor(dtype: str, *shape: int) -> dict[str, object]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}


@pytest.mark.parametrize(
    ("inputs", "form"),
    [
        (None, InputForm("table", "text")),
        ([], InputForm("table", "text")),
        ([column()], InputForm("table", "text")),
        ([column(name="q")], InputForm("table", "q")),
        ([column(name="q"), column("double", "weight", required=False)], InputForm("table", "q")),
        ([column(name="q", required=False)], InputForm("table", "q")),
        ([column("any", "q")], InputForm("table", "q")),
        ([tensor("str", -1)], InputForm("array", dimensions=1)),
        ([tensor("object", -1, 1)], InputForm("array", dimensions=2)),
    ],
)
def test_what_a_signature_asks_for(inputs: list[dict[str, object]] | None, form: InputForm) -> None:
    assert form_of_signature(inputs) == form


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([column(name="a"), column(name="b")], "needs 2 inputs"),
        ([column("double", "x")], "takes 'double'"),
        ([{"type": "array", "items": {}, "name": "messages", "required": True}], "takes 'array'"),
        ([tensor("float64", -1)], "array of float64"),
        ([tensor("str", -1, 5)], "of shape"),
    ],
)
def test_what_cannot_be_asked_with_one_text(inputs: list[dict[str, object]], message: str) -> None:
    with pytest.raises(CannotAsk, match=message):
        form_of_signature(inputs)


def test_what_an_estimator_was_fitted_on() -> None:
    class Fitted:
        feature_names_in_ = np.array(["ticket"], dtype=object)

    assert form_of_estimator(Fitted()) == InputForm("table", "ticket")
    assert form_of_estimator(object()) == InputForm("texts")
    Fitted.feature_names_in_ = np.array(["a", "b"], dtype=object)
    with pytest.raises(CannotAsk, match="2 columns"):
        form_of_estimator(Fitted())


def test_forms_filled() -> None:
    assert filled(InputForm("texts"), ["a", "b"]) == ["a", "b"]
    table = filled(InputForm("table", "q"), ["a", "b"])
    assert isinstance(table, pd.DataFrame)
    assert table.to_dict("list") == {"q": ["a", "b"]}
    array: Any = filled(InputForm("array", dimensions=2), ["a", "b"])
    assert array.tolist() == [["a"], ["b"]]


@pytest.mark.parametrize(
    "output",
    [
        ["a", "b"],
        ("a", "b"),
        np.array(["a", "b"]),
        np.array(["a", "b"], dtype=object),
        pd.Series(["a", "b"]),
        pd.DataFrame({"prediction": ["a", "b"]}),
        np.array([["a"], ["b"]]),
    ],
)
def test_one_value_per_row(output: object) -> None:
    assert [answer_of(value) for value in values_of(output)] == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize(
    "output", [None, "ab", {"a": 1}, iter("ab"), {"a", "b"}, np.float64(1), pd.DataFrame([[1, 2]])]
)
def test_no_value_per_row(output: object) -> None:
    with pytest.raises(CannotAsk, match="not one value per row"):
        values_of(output)


@pytest.mark.parametrize(
    ("value", "text"),
    [(np.int64(3), "3"), (np.float32(0.5), "0.5"), (np.bool_(True), "True"), (np.str_("x"), "x"), (7, "7"), ("", "")],
)
def test_labels_are_their_text(value: object, text: str) -> None:
    assert answer_of(value) == {"text": text}


@pytest.mark.parametrize("value", [None, {}, [], [0.1, 0.9], float("inf"), np.float64("nan"), b"x", "x" * 100_001])
def test_what_is_no_prediction(value: object) -> None:
    assert list(answer_of(value)) == ["failed"]


def test_messages_go_through_whatever_is_in_them() -> None:
    message = {"rows": ["\ud800", "é\x00\n", "x" * 1000]}
    raw = encode(message)
    assert HEADER.unpack_from(raw)[0] == len(raw) - HEADER.size
    assert decode(raw[HEADER.size :]) == message
    for broken in (b"", b"[]", b"{", b"[" * 100_000, b"\xff"):
        with pytest.raises(ValueError, match=r".+"):
            decode(broken)
