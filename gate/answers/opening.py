"""Open the answers of a run: this machine's store, with what a shared place can add to it.

place = shared_answers("s3://bucket/answers", None)      # or "mlflow", with a connection
with open_answers(home, models, shared=place, limits=limits, say=progress.say) as store: ...
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from finetune_gate.evaluators.asking import Answer
from finetune_gate.evaluators.errors import EvaluationError

from .limits import StoreLimits
from .places import SharedAnswers, wrong_place
from .pruning import What, prune
from .saying import Say
from .sharing import Sharing
from .store import AnswerStore, ModelKey

if TYPE_CHECKING:
    from ..registry.mlflow_client import Connection

STORE_FILE = "answers.sqlite"


def shared_answers(spec: str, connection: Connection | None) -> SharedAnswers | None:
    """The place that ``execution.store`` names; None for ``local``. ``connection`` is needed for ``mlflow``. Nothing is
    asked of the place yet. Raises ConfigurationError."""
    if spec == "local":
        return None
    if spec == "mlflow":
        if connection is None:
            raise wrong_place(spec, "there is no connection to MLflow here")
        from .mlflow_place import MlflowAnswers

        return MlflowAnswers(connection)
    if "://" not in spec or "::" in spec:
        raise wrong_place(spec, "this is no place for answers")
    from .fsspec_place import open_fsspec

    return open_fsspec(spec)


class _SharingStore(AnswerStore):
    """Takes new answers to the shared place while the run goes on: a run that is killed loses little."""

    sharing: Sharing | None = None

    def put(self, answers: Mapping[str, Answer], model: ModelKey) -> None:
        super().put(answers, model)
        if self.sharing is not None:
            self.sharing.push_now_and_then()


@contextmanager
def open_answers(
    home: Path, models: Sequence[ModelKey], *, shared: SharedAnswers | None, limits: StoreLimits, say: Say
) -> Generator[AnswerStore]:
    """The store under ``home``, filled with what ``shared`` holds of ``models``.

    New answers go to the shared place about every minute, and at the end, also when the body raises. At last the store
    is pruned to ``limits``; what this run has put or read stays. What cannot be shared or pruned is said and not fatal.
    Raises EvaluationError where the store itself cannot be opened.
    """
    with _SharingStore(home / STORE_FILE, say) as store:
        with suppress(EvaluationError):  # names are for people; answers can be read where nothing can be written
            store.name(models)
        if shared is not None:
            store.sharing = Sharing(store, shared, models, say, limits.max_bytes)
            store.sharing.pull()
        try:
            yield store
        finally:
            if store.sharing is not None:
                store.sharing.finish()
            try:
                prune(store, What.beyond(limits))
            except EvaluationError as error:
                say(f"the answer store was not pruned: {error.problems[0].found}")
