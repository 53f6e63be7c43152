"""Multiple choice: which of a question's options does the model find likeliest?

Options are scored as continuations of the prompt, so there is nothing to parse and every example has a choice.
Definitions are those of EleutherAI/lm-evaluation-harness: ``acc`` takes the highest log-likelihood, ``acc_norm`` the
highest per character of the option, which takes away the advantage of short ones; the first of equals wins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import ClassVar, Literal, cast

from pydantic import Field, model_validator

from .absent import Unmeasured, Value
from .asking import Ability, Failed, Request, ScoreRequest, TokenLogprobs
from .datasets import Dataset, Example, Row
from .errors import Problem
from .estimators import Mean
from .evaluator import Answers, Components, Datasets, OneDataset
from .metrics import Metric
from .prompting import Prompting
from .showing import Said, Shown
from .shown_answers import chosen, prompt_text

Reading = Literal["index", "letter", "text"]
_READINGS: tuple[Reading, ...] = ("index", "letter", "text")
_METRICS = (
    Metric("acc", True, Mean("correct", 0.0, 1.0), 0.0, 1.0, description="share of examples with the right option"),
    Metric(
        "acc_norm",
        True,
        Mean("correct_norm", 0.0, 1.0),
        0.0,
        1.0,
        description="acc by log-likelihood per character of the option",
    ),
)


class MultipleChoice(Prompting, OneDataset):
    """``- multiple_choice: {data: exam, choices: choices, answer: answer}``
    ``- multiple_choice: {data: exam, choice_columns: [a, b, c, d], answer: key, answer_as: letter}``

    ``choices`` is a column of lists, of any lengths; ``choice_columns`` are used instead where every option has a
    column. The answer is an index (from ``first_index``), a letter, or the text of the right option; ``auto`` takes
    the one reading that fits every row, and is a fault where two fit that disagree. ``scored: letter`` asks for letters
    of the options that the prompt lists in its slot ``{options}``.

    Components per example: ``correct`` and ``correct_norm`` (0 or 1).
    """

    kind: ClassVar[str] = "multiple_choice"
    row_by_row: ClassVar[bool] = True
    needs: ClassVar[frozenset[Ability]] = frozenset({"scores_tokens"})

    prompt: str = Field(default="{question}\nAnswer:", min_length=1, description="prompt with {column} slots")
    choices: str = Field(default="choices", description="column of lists of options")
    choice_columns: tuple[str, ...] = Field(default=(), strict=False, description="one column for each option instead")
    answer: str = Field(default="answer", description="column of the right option")
    answer_as: Literal["auto", "index", "letter", "text"] = Field(
        default="auto", description="how the right option is named; auto: the one reading that fits every row"
    )
    first_index: Literal[0, 1] = Field(default=0, description="what the first option's index is")
    scored: Literal["text", "letter"] = Field(default="text", description="what follows the prompt")
    delimiter: str = Field(default=" ", description="between plain prompt and option")

    @model_validator(mode="after")
    def _settings_agree(self) -> MultipleChoice:
        if self.choice_columns and "choices" in self.model_fields_set:
            raise ValueError("give `choices` or `choice_columns`, not both")
        if len(self.choice_columns) == 1 or len(set(self.choice_columns)) < len(self.choice_columns):
            raise ValueError("choice_columns: at least two columns, each once; a column of lists goes into `choices`")
        if self.scored == "letter" and "{options}" not in self.prompt:
            raise ValueError("scored: letter needs {options} in the prompt, or the letters mean nothing")
        return self

    def metrics(self) -> tuple[Metric, ...]:
        return _METRICS

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        place = f"{self.title}: dataset {self.data!r} ({dataset.path})"
        problems = self.prompt_problems(dataset, {"options"})
        missing = [name for name in (*self._option_columns(), self.answer) if name not in dataset.columns]
        if missing:
            expected = f"one of {', '.join(dataset.columns)}"
            return [*problems, *(Problem(place, f"no column {name!r}", expected) for name in missing)]
        faults = [(example, fault) for example in dataset.examples if (fault := self._fault(example.row))]
        problems += [
            Problem(f"{place} example {example.id!r}", fault, "at least two texts, no two alike")
            for example, fault in faults[:5]
        ]
        if len(faults) > 5:
            problems.append(Problem(place, f"{len(faults) - 5} more rows with such options"))
        return problems or self._answer_problems(dataset, place)

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [request for example in self.examples(data) for request in self._asked(example.row)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        readings = self._fitting(data[self.data])
        reading = readings[0] if readings else None
        rows = [self._score_one(example, answers, reading) for example in self.examples(data)]
        return {name: [row[at] for row in rows] for at, name in enumerate(("correct", "correct_norm"))}

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        readings = self._fitting(data[self.data])
        reading = readings[0] if readings else None
        return [self._shown_one(example, answers, reading) for example in self.examples(data)]

    def _shown_one(self, example: Example, answers: Mapping[str, Answers], reading: Reading | None) -> Shown:
        """With the options below the prompt, unless it lists them itself."""
        asked, options = self._asked(example.row), self._options(example.row)
        if self.scored == "letter":
            options = tuple(f"{request.continuation}) {option}" for request, option in zip(asked, options, strict=True))
        right = self._right(example.row, reading) if reading else None
        lengths = [len(request.continuation) for request in asked]
        texts: dict[str, Said] = {}
        for role, given in answers.items():
            texts[role] = chosen(options, [given[request] for request in asked], lengths, "character")
        prompt = prompt_text(asked[0].prompt) if asked else ""
        listed = "" if "{options}" in self.prompt else "".join(f"\n- {option}" for option in options)
        return Shown(example.id, f"{prompt}{listed}", "" if right is None else options[right], texts)

    def _option_columns(self) -> tuple[str, ...]:
        return self.choice_columns or (self.choices,)

    def _options(self, row: Row) -> tuple[str, ...]:
        """The options of a row, none of them where one is no text."""
        cells: list[object] = [row.get(name) for name in self.choice_columns]
        if not self.choice_columns and isinstance(row.get(self.choices), list):
            cells = cast("list[object]", row[self.choices])
        texts = tuple(cell for cell in cells if isinstance(cell, str) and cell.strip())
        return texts if len(texts) == len(cells) else ()

    def _fault(self, row: Row) -> str:
        options = self._options(row)
        if len({option.strip() for option in options}) < max(2, len(options)):
            shown = [row.get(name) for name in self._option_columns()]
            return f"options {(shown if self.choice_columns else shown[0])!r}"[:200]
        lettered = "{options}" in self.prompt
        return f"{len(options)} options, and 26 letters" if lettered and len(options) > len(ascii_uppercase) else ""

    def _asked(self, row: Row) -> list[ScoreRequest]:
        options = self._options(row)
        lettered = "\n".join(f"{letter}) {one}" for letter, one in zip(ascii_uppercase, options, strict=False))
        prompt = self.prompt_of(row, options=lettered)
        continuations = ascii_uppercase[: len(options)] if self.scored == "letter" else options
        return [ScoreRequest(prompt, continuation, self.delimiter) for continuation in continuations]

    def _score_one(self, example: Example, answers: Answers, reading: Reading | None) -> tuple[Value, Value]:
        asked = self._asked(example.row)
        replies = [answers[request] for request in asked]
        failed = next((reply.reason for reply in replies if isinstance(reply, Failed)), "")
        found = [math.fsum(reply.logprobs) for reply in replies if isinstance(reply, TokenLogprobs)]
        right = self._right(example.row, reading) if reading else None
        if failed or right is None or len(found) < len(asked) or not found:
            reason = Unmeasured(failed or "the row has no options with an answer among them")
            return reason, reason
        per_character = [total / len(request.continuation) for total, request in zip(found, asked, strict=True)]
        return float(found.index(max(found)) == right), float(per_character.index(max(per_character)) == right)

    def _right(self, row: Row, reading: Reading) -> int | None:
        """Position of the right option under ``reading``; None where it does not fit."""
        options, answer = self._options(row), row.get(self.answer)
        spelled = str(answer).strip() if isinstance(answer, (str, int)) and not isinstance(answer, bool) else ""
        if reading == "index":
            whole = spelled.isascii() and spelled.isdigit() and len(spelled) < 9
            position = int(spelled) - self.first_index if whole else -1
            return position if 0 <= position < len(options) else None
        if reading == "letter":
            letters = ascii_uppercase[: len(options)]
            return letters.index(spelled.upper()) if len(spelled) == 1 and spelled.upper() in letters else None
        texts = [option.strip() for option in options]
        return texts.index(spelled) if isinstance(answer, str) and spelled in texts else None

    def _fitting(self, dataset: Dataset) -> list[Reading]:
        """Readings under which every row that has options has an answer among them, and that differ in some row."""
        rows = [example.row for example in dataset.examples if self._options(example.row)]
        fitting: list[Reading] = []
        seen: list[list[int | None]] = []
        for reading in self._allowed():
            found = [self._right(row, reading) for row in rows]
            if None not in found and found not in seen:
                fitting.append(reading)
                seen.append(found)
        return fitting

    def _answer_problems(self, dataset: Dataset, place: str) -> list[Problem]:
        fitting = self._fitting(dataset)
        if len(fitting) == 1:
            return []
        where = f"{place} column {self.answer!r}"
        if fitting:
            found = f"can be read as {' or as '.join(fitting)}, with different answers"
            return [Problem(where, found, "one reading", f"answer_as: {fitting[0]}, or another")]
        wanted = f"index from {self.first_index}, letter or text" if self.answer_as == "auto" else self.answer_as
        wrong = self._misfits(dataset)
        shown = ", ".join(f"{row.get(self.answer)!r}"[:60] for row in wrong[:3])
        return [Problem(where, f"{len(wrong)} rows with {shown}", f"in every row the {wanted} of one of its options")]

    def _misfits(self, dataset: Dataset) -> list[Row]:
        """The rows that the reading which fits most does not fit."""
        rows = [example.row for example in dataset.examples]
        by_reading = ([row for row in rows if self._right(row, reading) is None] for reading in self._allowed())
        return min(by_reading, key=len)

    def _allowed(self) -> tuple[Reading, ...]:
        return _READINGS if self.answer_as == "auto" else (self.answer_as,)
