"""A pyfunc or scikit-learn version as a model that generates: its prediction is the text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from threading import RLock
from typing import cast

from finetune_gate.evaluators.asking import (
    Ability,
    Answer,
    Failed,
    GenerateRequest,
    Generation,
    Prompt,
    Request,
    ScoreRequest,
)
from finetune_gate.evaluators.errors import ModelError, Problem, without_credentials

from ..models.manifest import shown
from ..models.mlmodel import mapping
from ..models.protocol import Deliver, JsonScalar, Tokens, Usage
from ..pins import PythonModel
from .messages import BATCH_ROWS, Message
from .process import Worker, WorkerFailed

ANSWERS = "python predictions 1"
"""Part of every answer's address: changed whenever the same question would be answered otherwise."""

_BYTES_PER_TOKEN = 4
"""A rule of thumb for English, see https://platform.openai.com/tokenizer; only ever shown as an estimate."""


class PythonPredictions:
    """``PythonPredictions(PythonModel(root, "sklearn", digest, total_bytes)).generate(requests, deliver)``

    A prompt is one row (messages are joined by blank lines), its prediction the text: a string as it is, a number or
    truth value as Python writes it. Anything else, and a row for which the model raises, is `Failed` with the reason.
    A prediction has no tokens: nothing is sampled or cut to ``max_new_tokens``, and repeated draws of one prompt are
    one prediction. Text after a ``stop`` is cut off.

    The process starts at the first question, and is ended by ``release()``. ``load_seconds`` bounds starting and
    loading, ``batch_seconds`` one batch of 64 rows. Raises ModelError where the model cannot be loaded, lacks a
    package, hangs, dies, or gives another number of predictions than rows.
    """

    def __init__(self, model: PythonModel, *, load_seconds: float = 300.0, batch_seconds: float = 300.0) -> None:
        self._model = model
        self._load_seconds = load_seconds
        self._batch_seconds = batch_seconds
        self._worker: Worker | None = None
        self._lock = RLock()

    @property
    def digest(self) -> str:
        return self._model.digest

    @property
    def abilities(self) -> frozenset[Ability]:
        return frozenset(("generates",))

    @property
    def batched(self) -> bool:
        return True

    def facts(self) -> Mapping[str, JsonScalar]:
        return {
            "kind": "Python code",
            "layout": self._model.layout,
            "flavor": self._model.flavor,
            "digest": self._model.digest,
            "sampling": "none: one prediction per prompt",
        }

    def usage(self) -> Usage:
        return Usage()

    def tokens(self, requests: Sequence[Request]) -> Tokens:
        """Estimated from the length of the text, a token for four bytes; none are written."""
        texts = {_text(request.prompt) for request in requests if isinstance(request, GenerateRequest)}
        return Tokens(sum(-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts), 0, exact=False)

    def addresses(self, requests: Sequence[Request]) -> list[str]:
        return [self._address(request) for request in requests]

    def score(self, requests: Sequence[ScoreRequest], deliver: Deliver) -> None:
        for index in range(len(requests)):
            deliver(index, Failed("a prediction has no log-likelihoods"))

    def generate(self, requests: Sequence[GenerateRequest], deliver: Deliver) -> None:
        owners: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            owners.setdefault(_text(request.prompt), []).append(index)
        texts = list(owners)
        with self._lock:
            for start in range(0, len(texts), BATCH_ROWS):
                batch = texts[start : start + BATCH_ROWS]
                for text, answer in zip(batch, self._predict(batch), strict=True):
                    for index in owners[text]:
                        deliver(index, _cut(answer, requests[index].stop))

    def release(self) -> None:
        """End the process. A later question starts another."""
        with self._lock:
            if self._worker is not None:
                self._worker.close()
                self._worker = None

    def _address(self, request: Request) -> str:
        match request:
            case GenerateRequest():
                about = [request.needs, _text(request.prompt), request.stop]
            case ScoreRequest():
                about = [request.needs, _text(request.prompt), None]
            case _:
                about = ["cannot", repr(request)]
        return hashlib.sha256(json.dumps([ANSWERS, self._model.digest, *about]).encode()).hexdigest()

    def _predict(self, texts: Sequence[str]) -> list[Answer]:
        """One answer per text. Where the model raises for a batch, the rows at fault are found by halving it."""
        reply = self._ask({"rows": list(texts)}, self._batch_seconds, "predict")
        if "raised" in reply:
            if len(texts) == 1:
                return [Failed(f"the model raised {_foreign(reply['raised'])}")]
            half = len(texts) // 2
            return self._predict(texts[:half]) + self._predict(texts[half:])
        answers = reply.get("answers")
        if not isinstance(answers, list) or len(cast("list[object]", answers)) != len(texts):
            raise self._error("predict", "its process did not keep to the protocol")
        return [_answer(found) for found in cast("list[object]", answers)]

    def _ask(self, message: Message, seconds: float, what: str) -> Message:
        if self._worker is None:
            try:
                worker = Worker()
            except OSError as error:
                raise self._error("be loaded", f"no process can be started: {error.strerror}") from error
            loading = {"load": str(self._model.root), "flavor": self._model.flavor}
            reply = self._said(worker, loading, self._load_seconds, "be loaded")
            if "loaded" not in reply:
                worker.close()
                raise self._error(
                    "be loaded", f"it raised {_foreign(reply.get('raised', 'nothing that can be shown'))}"
                )
            self._worker = worker
        return self._said(self._worker, message, seconds, what)

    def _said(self, worker: Worker, message: Message, seconds: float, what: str) -> Message:
        try:
            reply = worker.ask(message, seconds)
        except WorkerFailed as error:
            self._worker = None
            raise self._error(what, str(error)) from error
        except BaseException:
            self._worker = None
            raise
        if "missing" in reply or "unusable" in reply:
            worker.close()
            self._worker = None
        if "missing" in reply:
            raise self._error(
                what,
                f"the Python package {_foreign(reply['missing'])!r} is not installed ({_foreign(reply.get('raised'))})",
                "what the version's requirements.txt lists, in the environment of the gate",
                f"install it beside finetune-gate: pip install -r {self._model.root}/requirements.txt",
            )
        if "unusable" in reply:
            raise self._error(
                what,
                _foreign(reply["unusable"]),
                "a model that takes one text per row, and gives one prediction for each",
                "log one that takes texts or a table of one column, with a signature that says so",
            )
        return reply

    def _error(self, what: str, found: str, expected: str = "", way_out: str = "") -> ModelError:
        where = f"Python model {self._model.root}"
        way_out = way_out or "load it with MLflow in this environment, and ask it for the same, to see it fail"
        return ModelError(Problem(where, f"it cannot {what}: {found}", expected, way_out))


def _text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n\n".join(message.content for message in prompt)


def _answer(found: object) -> Answer:
    fields = mapping(found)
    text = fields.get("text")
    if isinstance(text, str):
        return Generation(text.encode("utf-8", "replace").decode(), "stop", 0)
    return Failed(_foreign(fields.get("failed", "no prediction")))


def _cut(answer: Answer, stop: Sequence[str]) -> Answer:
    if not isinstance(answer, Generation):
        return answer
    ends = [at for mark in stop if mark and (at := answer.text.find(mark)) >= 0]
    return Generation(answer.text[: min(ends)], "stop", 0) if ends else answer


def _foreign(text: object) -> str:
    """What the model's own code said, on one line and fit to be shown."""
    return shown(without_credentials(" ".join(str(text).split())), 500)
