"""What can be asked of a model, and what comes back.

Evaluators make requests; the plan unites them; a model answers them; the answer store keeps the answers.
Requests are frozen and hashable: two evaluators that ask the same thing make equal requests, and it is asked once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ability = Literal["generates", "scores_tokens"]
"""What a model may be able to do. A metric that needs an ability the model lacks is ``Unmeasured``."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = str | tuple[Message, ...]
"""A ``str`` goes to the model as it stands. Messages go through the model's chat template where its tokenizer has
one; where it has none, their contents are joined by blank lines."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Ask for the log-likelihood of every token of ``continuation``, given ``prompt``.

    With an empty prompt the continuation is a document: its first token is scored after BOS (else EOS), and one that
    is longer than the context goes through rolling windows in which every token is scored exactly once.
    ``delimiter`` stands between prompt and continuation unless a chat template rendered the prompt, whose generation
    prompt already ends where an answer begins.
    """

    prompt: Prompt
    continuation: str
    delimiter: str = ""

    @property
    def needs(self) -> Ability:
        return "scores_tokens"


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """Ask for a text. Every setting is the gate's: nothing is taken from the model's own generation_config.

    ``temperature`` 0 is greedy. ``sample`` numbers repeated draws of one prompt, and with ``seed`` makes them
    different requests. Generation ends at any of ``stop`` (which is cut off), at EOS, or after ``max_new_tokens``.
    """

    prompt: Prompt
    max_new_tokens: int = 32
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    sample: int = 0
    seed: int = 0

    @property
    def needs(self) -> Ability:
        return "generates"


Request = ScoreRequest | GenerateRequest


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Natural-log probability of each scored token, in order.

    ``dropped_context`` counts prompt tokens that did not fit into the context and were cut from its left.
    """

    logprobs: tuple[float, ...]
    dropped_context: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """A generated text (untrusted), why it ended, and how many tokens it took."""

    text: str
    finish: Literal["stop", "length"]
    tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The model could not answer this request. Counts against coverage, and is never a zero."""

    reason: str


Answer = TokenLogprobs | Generation | Failed
