"""The answer store: what models answered, kept by content address on this machine, and shared where asked for.

shared = shared_answers("s3://bucket/answers", None)
with open_answers(home, models, shared=shared, limits=StoreLimits.from_environment(), say=print) as store:
    known = store.get(addresses)
    store.put({address: answer}, ModelKey(model.digest, "support-bot v7"))
"""

from .limits import StoreLimits
from .opening import STORE_FILE, open_answers, shared_answers
from .places import SharedAnswers
from .store import AnswerStore, ModelKey

__all__ = [
    "STORE_FILE",
    "AnswerStore",
    "ModelKey",
    "SharedAnswers",
    "StoreLimits",
    "open_answers",
    "shared_answers",
]
