"""What models were asked and answered, as judges see it; and the controls that are made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..absent import Unmeasured
from ..asking import Failed, GenerateRequest, Prompt
from ..datasets import Example
from ..evaluator import Answers, Datasets
from ..references import references_of, text_of
from .controls import INJECTIONS, Attacks, Control, ControlKind, Subject, make_controls
from .settings import BASELINES, JudgingSettings

Text = str | Unmeasured
"""An answer without the white space around it; or why there is none."""

_NOT_ASKED = Failed("it was not asked")


@dataclass(frozen=True, slots=True)
class Task:
    """One example: what models are asked, and how judges see the question and the right answers."""

    example: Example
    request: GenerateRequest
    question: str
    references: tuple[str, ...]


def tasks_of(settings: JudgingSettings, data: Datasets) -> tuple[Task, ...]:
    """In the order of the dataset."""
    found: list[Task] = []
    for example in data[settings.data].examples:
        prompt = settings.prompt_of(example.row)
        references = () if settings.reference is None else references_of(example.row.get(settings.reference))
        found.append(Task(example, settings.asking_for(prompt), _question(prompt), references))
    return tuple(found)


def texts_of(tasks: Sequence[Task], answers: Mapping[str, Answers]) -> dict[str, list[Text]]:
    """By role, in the order of ``tasks``."""
    return {role: [_text(role, task, given) for task in tasks] for role, given in answers.items()}


def written(answers: Answers, task: Task) -> str | None:
    """The answer as people saw it, white space and all; None where there is none."""
    found = text_of(answers.get(task.request, _NOT_ASKED))
    return None if isinstance(found, Unmeasured) else found


def baselines_of(texts: Mapping[str, Sequence[Text]]) -> tuple[str, ...]:
    return tuple(role for role in BASELINES if role in texts)


def in_drawn_order(seed: int, tasks: Sequence[Task]) -> list[int]:
    """Positions of ``tasks``, so that however many of them were asked about, it is a fair sample."""
    return sorted(range(len(tasks)), key=lambda at: _draw(seed, tasks[at].example.id))


def controls_of(
    kinds: Sequence[ControlKind],
    count: int,
    seed: int,
    tasks: Sequence[Task],
    answered: Sequence[Sequence[Text]],
    attacks: Attacks = INJECTIONS,
) -> Mapping[ControlKind, Sequence[Control | Unmeasured]]:
    """``count`` of each kind, made of the right answers where there are some, else of the first of ``answered`` that
    has a text; each of those is in the order of ``tasks``."""
    subjects: list[Subject] = []
    reason = "it is blank" if answered else "there is no baseline"
    for at, task in enumerate(tasks):
        texts = [texts[at] for texts in answered]
        known = [text for text in texts if isinstance(text, str)]
        text = next((text.strip() for text in (*task.references, *known) if text.strip()), None)
        if text is not None:
            subjects.append(Subject(task.example.id, task.question, task.references, text))
        elif failed := [text for text in texts if isinstance(text, Unmeasured)]:
            reason = failed[0].reason
    found: dict[ControlKind, Sequence[Control | Unmeasured]] = {}
    for kind in kinds:
        made = make_controls(kind, count, subjects, seed, attacks)
        short = Unmeasured(
            f"{len(made)} of {count} controls could be made of {len(subjects)} answers"
            + ("" if len(subjects) == len(tasks) else f"; another is lacking: {reason}")
        )
        found[kind] = [*made, *[short] * (count - len(made))]
    return found


def _question(prompt: Prompt) -> str:
    """What the judge is told was asked: everything that the model was told."""
    return prompt if isinstance(prompt, str) else "\n\n".join(message.content for message in prompt)


def _text(role: str, task: Task, answers: Answers) -> Text:
    found = text_of(answers.get(task.request, _NOT_ASKED))
    return Unmeasured(f"{role}: {found.reason}") if isinstance(found, Unmeasured) else found.strip()


def _draw(seed: int, example: str) -> str:
    return hashlib.sha256(f"{seed} {example}".encode("utf-8", "replace")).hexdigest()
