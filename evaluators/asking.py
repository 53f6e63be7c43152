"""What can be asked of a model, and what comes back.

Evaluators make requests; the plan unites them; a model answers them; the answer store keeps the answers.
Requests are frozen and hashable: two evaluators that ask the same thing make equal requests, and it is asked once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .absent import Unmeasured

Ability = Literal["generates", "scores_tokens", "chooses", "attributes", "embeds", "entails", "executes"]
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
    ``schema`` is a JSON Schema, as text, that the text should follow: a wish, which an endpoint that knows structured
    output is told and no other model. Whoever reads the text must check it.
    """

    prompt: Prompt
    max_new_tokens: int = 32
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    sample: int = 0
    seed: int = 0
    schema: str | None = None

    @property
    def needs(self) -> Ability:
        return "generates"


@dataclass(frozen=True, slots=True)
class ChooseRequest:
    """Ask how likely the answer is to begin with each of ``options``, given ``prompt``.

    A model that scores tokens is asked for the log-likelihood of each option; an endpoint that gives the likeliest
    first tokens of an answer is asked for those, and options should be single tokens.
    """

    prompt: Prompt
    options: tuple[str, ...]

    @property
    def needs(self) -> Ability:
        return "chooses"


@dataclass(frozen=True, slots=True)
class AttributeRequest:
    """Ask how much every token of ``prompt`` adds to the log-probability of ``continuation``.

    ``integrated_gradients`` goes from an uninformative prompt to this one in ``steps`` steps; ``input_x_gradient`` is
    its first-order approximation and takes one. ``delimiter`` as in `ScoreRequest`.
    """

    prompt: Prompt
    continuation: str
    method: Literal["input_x_gradient", "integrated_gradients"] = "input_x_gradient"
    steps: int = 32
    delimiter: str = ""

    @property
    def needs(self) -> Ability:
        return "attributes"


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Ask for a vector that stands for ``text``."""

    text: str

    @property
    def needs(self) -> Ability:
        return "embeds"


@dataclass(frozen=True, slots=True)
class EntailRequest:
    """Ask whether ``premise`` entails ``hypothesis`` (natural language inference)."""

    premise: str
    hypothesis: str

    @property
    def needs(self) -> Ability:
        return "entails"


@dataclass(frozen=True, slots=True)
class CodeTask:
    """What a program has to do, in one of three ways: calls of its function ``entry_point`` with the values they must
    return (``calls``: arguments and result as JSON texts), a test suite that is code itself (``test``: it defines
    ``check(candidate)``, or asserts about ``entry_point`` by name), or what it must print for what it reads
    (``dialogues``: input and output).

    ``reference`` is a whole program that does it, where there is one: its own time, where the programs run, is what
    theirs is measured by, and a task whose reference does not pass is no test of anything.
    """

    entry_point: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    test: str = ""
    dialogues: tuple[tuple[str, str], ...] = ()
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    """Ask whether ``program``, which a model wrote, does its task. ``program`` is whole: a prompt's beginning is part
    of it. It may take ``seconds``, or ``times_reference`` the time of the task's reference if that is more, and
    ``memory_mib`` of memory."""

    program: str
    task: CodeTask
    seconds: float = 10.0
    times_reference: float = 10.0
    memory_mib: int = 512

    @property
    def needs(self) -> Ability:
        return "executes"


Request = (
    ScoreRequest | GenerateRequest | ChooseRequest | AttributeRequest | EmbedRequest | EntailRequest | ExecuteRequest
)


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
class Choice:
    """Natural-log probability of each option, in their order. Of an option that an endpoint did not list among the
    likeliest tokens, the most that it can have been."""

    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Attribution:
    """What each prompt token adds to the log-probability of the continuation, in nats.

    ``tokens`` are the prompt's as text: joined, they are the prompt as the model read it, chat template included.
    ``similarity`` is, for each, the highest cosine between its hidden state and those of the continuation's tokens.
    ``logprob`` is the continuation's, ``uninformed`` the same after the uninformative prompt that attribution starts
    from: with ``integrated_gradients`` the weights should sum to their difference.
    ``comprehensiveness`` is how much of ``logprob`` is lost without the tokens of highest weight, ``sufficiency`` how
    much with them alone; ``random_...`` the same for as many tokens drawn by seed.
    """

    tokens: tuple[str, ...]
    weights: tuple[float, ...]
    similarity: tuple[float, ...]
    logprob: float
    uninformed: float
    comprehensiveness: float
    sufficiency: float
    random_comprehensiveness: float
    random_sufficiency: float


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector of unit length."""

    vector: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Entailment:
    """Probabilities of the three relations; they sum to one."""

    entailment: float
    neutral: float
    contradiction: float


Outcome = Literal["passed", "failed", "timeout", "out_of_memory"]


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of a program. ``detail`` says more for people, and is untrusted: the program may have written it.
    Where it could not be found out there is none of these but a ``Failed``."""

    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The model could not answer this request. Counts against coverage, and is never a zero."""

    reason: str


Answer = TokenLogprobs | Generation | Choice | Attribution | Embedding | Entailment | Execution | Failed


def unanswered(answer: Answer, otherwise: str) -> Unmeasured:
    """What stands for a score where ``answer`` is not of the kind that was asked for: why it failed, else
    ``otherwise``."""
    return Unmeasured(answer.reason if isinstance(answer, Failed) else otherwise)
