"""Prompts: a template with a slot for every column that it needs, a system message, and how a text is asked for.

class Summarization(PromptedDataset):
    prompt: str = Field(default="{text}\\n\\nSummary:", ...)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from .asking import GenerateRequest, Message, Prompt
from .datasets import Dataset, Row
from .errors import Problem
from .evaluator import EvaluatorSettings, OneDataset
from .slots import fill_slots, slot_names


class Prompting(EvaluatorSettings):
    """The settings of an evaluator that prompts models from the columns of a row."""

    prompt: str = Field(min_length=1, description="prompt with {column} slots")
    system: str | None = Field(default=None, description="system message, for models with a chat template")
    chat: Literal["auto", "never"] = Field(default="auto", description="never: send the prompt as plain text")

    def prompt_of(self, row: Row, **own: object) -> Prompt:
        """The prompt of one row; ``own`` fills slots that are no columns."""
        return self.as_prompt(fill_slots(self.prompt, {**row, **own}))

    def as_prompt(self, text: str) -> Prompt:
        """``text`` as the user's message, after the system's; or as it stands, where ``chat`` is never."""
        if self.chat == "never":
            return text
        system = (Message("system", self.system),) if self.system else ()
        return (*system, Message("user", text))

    def prompt_problems(self, dataset: Dataset, own: Iterable[str] = ()) -> list[Problem]:
        """Slots that ``dataset`` cannot fill. ``own``: names of the slots that the evaluator fills by itself."""
        return slot_problems(f"{self.title}.prompt", self.prompt, dataset, own)


class Generating(Prompting):
    """The settings of an evaluator that reads what models write."""

    max_new_tokens: int = Field(default=32, ge=1, le=4096, description="longest answer, in tokens")
    stop: tuple[str, ...] = Field(default=(), strict=False, description="texts that end an answer")

    def asking_for(self, prompt: Prompt) -> GenerateRequest:
        return GenerateRequest(prompt, max_new_tokens=self.max_new_tokens, stop=self.stop)

    def ask(self, row: Row) -> GenerateRequest:
        """The greedy answer to the prompt of one row."""
        return self.asking_for(self.prompt_of(row))


class GeneratingOnDataset(Generating, OneDataset):
    """One prompt and one greedy answer for each example of one dataset."""


def slot_problems(where: str, template: str, dataset: Dataset, own: Iterable[str] = ()) -> list[Problem]:
    """Slots of ``template`` that name no column, clash with ``own``, or would be empty for some row."""
    columns, own = ", ".join(dataset.columns), set(own)
    slots = set(slot_names(template))
    problems = [
        Problem(where, f"slot {{{slot}}}", f"a column of {dataset.name!r}: {columns}")
        for slot in sorted(slots - {*dataset.columns, *own})
    ]
    if slots <= own:
        found = f"{template!r} holds no column of {dataset.name!r}"
        problems.append(Problem(where, found, f"a slot of letters, digits and _, such as {{text}}, from {columns}"))
    for slot in sorted(slots & own & set(dataset.columns)):
        found = f"slot {{{slot}}} is filled by the evaluator, and {dataset.name!r} has a column of that name"
        problems.append(Problem(where, found, "a column with another name"))
    for slot in sorted(slots & set(dataset.columns)):
        empty = [example.id for example in dataset.examples if example.row.get(slot) is None]
        if empty:
            found = f"{len(empty)} rows of {dataset.name!r} have no {slot!r}, the first is {empty[0]!r}"
            problems.append(Problem(where, found, "a value in every row"))
    return problems
