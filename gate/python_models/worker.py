"""The process that runs a model's own code. Started by `process.Worker`, never by hand.

It says on a pipe of its own what it found; whatever the model prints goes to standard error. ``{"load": folder,
"flavor": ...}`` is answered with ``{"loaded": true}``, ``{"rows": [...]}`` with ``{"answers": [...]}``; either with
``{"missing": package}``, ``{"unusable": why}`` or ``{"raised": what}``.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from ..models.manifest import list_files
from ..models.mlmodel import read_flavors
from .messages import MAX_TEXT, SCRATCH_PREFIX, Message, encode, read
from .rows import CannotAsk, InputForm, answer_of, filled, form_of_estimator, form_of_signature, values_of

_MOST_WRITTEN = 4 << 30
"""Bytes of the largest file that the model's code may write."""

Predict = Callable[[object], object]


class _Schema(Protocol):
    def to_dict(self) -> Sequence[Mapping[str, object]]: ...


class _Metadata(Protocol):
    def get_input_schema(self) -> _Schema | None: ...


class _PyFunc(Protocol):
    metadata: _Metadata

    def predict(self, data: object) -> object: ...


def main() -> None:
    """Answer messages until the gate closes the pipe, or is gone."""
    questions = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _MOST_WRITTEN)
    scratch = os.getcwd()
    threading.Thread(target=_end_with, args=(os.getppid(), scratch), daemon=True).start()
    model: tuple[Predict, InputForm] | None = None
    while (question := read(questions)) is not None:
        try:
            if "load" in question:
                model = _load(str(question["load"]), str(question["flavor"]))
                answer: Message = {"loaded": True}
            else:
                assert model is not None, "a model is loaded before it is asked"
                answer = {"answers": _answers(*model, cast("list[str]", question["rows"]))}
        except ModuleNotFoundError as error:
            answer = {"missing": (error.name or str(error)).partition(".")[0][:200], "raised": _said(error)}
        except CannotAsk as error:
            answer = {"unusable": str(error)[:1000]}
        except Exception as error:  # noqa: BLE001 -- the border to the model's own code, which may raise anything
            answer = {"raised": _said(error)}
        answers.write(encode(answer))
        answers.flush()
    _end(scratch)


def _load(folder: str, flavor: str) -> tuple[Predict, InputForm]:
    import logging

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    if flavor == "sklearn":
        import mlflow.sklearn as mlflow_sklearn

        estimator = cast("object", mlflow_sklearn.load_model(folder))  # pyright: ignore[reportUnknownMemberType]  -- untyped
        method = read_flavors(list_files(Path(folder)))["python_function"].get("predict_fn", "predict")
        return cast("Predict", getattr(estimator, str(method))), form_of_estimator(estimator)
    import mlflow.pyfunc

    loaded = cast("_PyFunc", mlflow.pyfunc.load_model(folder, suppress_warnings=True))
    schema = loaded.metadata.get_input_schema()
    return loaded.predict, form_of_signature(None if schema is None else schema.to_dict())


def _answers(predict: Predict, form: InputForm, texts: list[str]) -> list[dict[str, str]]:
    """One answer per text. A single text is asked twice over: a model that takes a table for a list of its columns'
    names gives one answer whatever is in it, and would not be found out by one row."""
    rows = texts * 2 if len(texts) == 1 else texts
    values = values_of(predict(filled(form, rows)))
    if len(values) != len(rows):
        raise CannotAsk(f"it returned {len(values)} predictions for {len(rows)} rows")
    return [answer_of(value) for value in values[: len(texts)]]


def _said(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"[: MAX_TEXT // 100]
    except Exception:  # noqa: BLE001 -- as above: an error's text is the model's code, too
        return type(error).__name__


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _end_with(parent: int, scratch: str) -> None:
    """End once the gate is gone, also where that was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    _end(scratch)


def _end(scratch: str) -> None:
    """Leave no folder and no process behind: a gate that was killed cannot see to it."""
    if os.path.basename(scratch).startswith(SCRATCH_PREFIX):
        shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
