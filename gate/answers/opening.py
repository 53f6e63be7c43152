"""Open the answers of a run: this machine's store, with what a shared place can add to it.

with open_answers(home, models, shared=place, limits=limits, say=progress.say) as store: ...
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from finetune_gate.evaluators.asking import Answer
from finetune_gate.evaluators.errors import EvaluationError

from .limits import StoreLimits
from .places import SharedAnswers
from .pruning import What, prune
from .saying import Say
from .sharing import Sharing
from .store import AnswerStore, ModelKey

STORE_FILE = "answers.sqlite"


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
