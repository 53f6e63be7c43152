"""The receiver of MLflow's webhooks: checks what comes, keeps what counts, has the models looked at.

    serve(receiver, working, host="127.0.0.1", port=8300, ready=print)

A delivery is only a hint that somebody should look at a model: nothing it says is acted upon, and what was lost on the
way is found by the sweep.
"""

from .events import own_aliases
from .inbox import Inbox, InboxError
from .keys import SECRET, SECRET_FILE, webhook_secrets
from .log import Log
from .server import PATH, Receiver, serve
from .working import Look, Working

__all__ = [
    "PATH",
    "SECRET",
    "SECRET_FILE",
    "Inbox",
    "InboxError",
    "Log",
    "Look",
    "Receiver",
    "Working",
    "own_aliases",
    "serve",
    "webhook_secrets",
]
