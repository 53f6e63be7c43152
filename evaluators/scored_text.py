"""What of a row is scored by log-likelihood: a document, an answer to a prompt, or the assistant's turns of a chat.

    class Perplexity(ScoredText, OneDataset): ...

    Perplexity(data="prose")                                        # the column `text`
    Perplexity(data="qa", prompt="Q: {question}", answer="reply")   # the reply, given the prompt
    Perplexity(data="chats", messages="messages")                   # the assistant's turns, given what came before

Prompts, and the turns of users and of the system, are context: they cost no loss, as in training that masks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self, cast

from pydantic import Field, model_validator

from .absent import Unmeasured
from .asking import Message, ScoreRequest, TokenLogprobs, unanswered
from .datasets import Dataset, Row
from .errors import Problem
from .evaluator import Answers, text_column_problems
from .prompting import Prompting

BETWEEN_TURNS = "\n\n"
"""As models without a chat template join the messages of a prompt."""

_ROLES = ("system", "user", "assistant")
_SHOWN = 5


class ScoredText(Prompting):
    """The settings of an evaluator that scores texts by log-likelihood; one of three forms, see the module."""

    text: str = Field(default="text", description="column of the documents")
    prompt: str = Field(default="", description="instruction data: prompt with {column} slots")
    answer: str | None = Field(default=None, description="instruction data: column of the answer that is scored")
    messages: str | None = Field(default=None, description="chat data: column with a list of {role, content}")
    delimiter: str | None = Field(
        default=None,
        description="between plain prompt and answer (default: a space) or plain turns (default: a blank line)",
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if bool(self.prompt) != (self.answer is not None):
            raise ValueError("`prompt` and `answer` go together: the answer's column is scored, given the prompt")
        if self.messages is not None and self.prompt:
            raise ValueError("`messages`, or `prompt` and `answer`, and not both")
        if self.system and not self.prompt:
            raise ValueError("`system` stands in front of `prompt`; conversations have a message of their own for it")
        if "text" in self.model_fields_set and self.form != "document":
            raise ValueError("`text` names documents; leave it out beside `messages` or `prompt`")
        return self

    @property
    def form(self) -> Literal["document", "answer", "chat"]:
        if self.messages is not None:
            return "chat"
        return "answer" if self.prompt else "document"

    def passages(self, row: Row) -> tuple[ScoreRequest, ...]:
        """What to ask for one row: one request for a document or an answer, one for each of the assistant's turns.

        A turn before the first message of a user is context only: there is nothing yet that it answers.
        """
        if self.form == "document":
            return (ScoreRequest("", _text(row.get(self.text))),)
        if self.form == "answer":
            return (ScoreRequest(self.prompt_of(row), _text(row.get(self.answer or "")), self._delimiter(" ")),)
        turns = conversation(row.get(self.messages or "")) or ()
        asked: list[ScoreRequest] = []
        for at, turn in enumerate(turns):
            before = turns[:at]
            if turn.role == "assistant" and turn.content and any(message.role == "user" for message in before):
                plain = BETWEEN_TURNS.join(message.content for message in before)
                prompt = plain if self.chat == "never" else before
                asked.append(ScoreRequest(prompt, turn.content, self._delimiter(BETWEEN_TURNS)))
        return tuple(asked)

    def as_document(self, row: Row) -> ScoreRequest:
        """The row as one document, prompts and all turns included, without a chat template."""
        if self.form == "chat":
            turns = conversation(row.get(self.messages or "")) or ()
            return ScoreRequest("", self._delimiter(BETWEEN_TURNS).join(turn.content for turn in turns))
        (asked,) = self.passages(row)
        given = (
            asked.prompt if isinstance(asked.prompt, str) else BETWEEN_TURNS.join(one.content for one in asked.prompt)
        )
        return ScoreRequest("", f"{given}{asked.delimiter}{asked.continuation}")

    def text_problems(self, dataset: Dataset) -> list[Problem]:
        """Rows of ``dataset`` without what is to be scored, and slots of the prompt that it cannot fill."""
        if self.form == "document":
            problems = text_column_problems(self.title, dataset, self.text)
        elif self.form == "answer":
            problems = self.prompt_problems(dataset) + text_column_problems(self.title, dataset, self.answer or "")
        else:
            problems = self._chat_problems(dataset)
        if not problems and not any(asked.continuation for one in dataset.examples for asked in self.passages(one.row)):
            problems.append(self._nothing_to_score(dataset))
        return problems

    def _chat_problems(self, dataset: Dataset) -> list[Problem]:
        column = self.messages or ""
        place = f"{self.title}: dataset {dataset.name!r} ({dataset.path})"
        if column not in dataset.columns:
            return [Problem(place, f"no column {column!r}", f"one of {', '.join(dataset.columns)}")]
        wrong = [example for example in dataset.examples if conversation(example.row.get(column)) is None]
        problems = [
            Problem(
                f"{place} example {example.id!r}",
                f"{column}={str(example.row.get(column))[:80]!r}",
                'a list of {"role": "system", "user" or "assistant", "content": a text}',
                "write calls of tools and their results as text, or leave such rows out",
            )
            for example in wrong[:_SHOWN]
        ]
        if len(wrong) > _SHOWN:
            problems.append(Problem(place, f"{len(wrong) - _SHOWN} more rows in which {column!r} is no conversation"))
        return problems

    def _nothing_to_score(self, dataset: Dataset) -> Problem:
        where = f"{self.title}: dataset {dataset.name!r}"
        if self.form == "chat":
            return Problem(where, f"no {self.messages!r} has a turn of the assistant after a user's", "at least one")
        column = self.text if self.form == "document" else self.answer
        return Problem(where, f"every {column!r} is empty", f"at least one {self.form} with text")

    def _delimiter(self, default: str) -> str:
        return default if self.delimiter is None else self.delimiter


def conversation(cell: object) -> tuple[Message, ...] | None:
    """The messages of a cell, or None where it holds something else."""
    if not isinstance(cell, list):
        return None
    turns: list[Message] = []
    for item in cast("list[object]", cell):
        if not isinstance(item, Mapping):
            return None
        turn = cast("Mapping[str, object]", item)
        role, content = turn.get("role"), turn.get("content")
        if role not in _ROLES or not isinstance(content, str):
            return None
        turns.append(Message(role, content))
    return tuple(turns)


def logprobs_of(passages: tuple[ScoreRequest, ...], answers: Answers) -> tuple[float, ...] | Unmeasured:
    """Log-probabilities (nats) of all scored tokens of one row, in order; Unmeasured where any passage has none."""
    found: list[float] = []
    for asked in passages:
        answer = answers[asked]
        if not isinstance(answer, TokenLogprobs):
            return unanswered(answer, "the model gave no log-probabilities")
        found.extend(answer.logprobs)
    return tuple(found)


def _text(cell: object) -> str:
    return cell if isinstance(cell, str) else ""
