"""How many examples a second each text metric scores: ``python -m benchmarks.text_metrics``

10,000 made examples go through ``score`` of each evaluator, as in a run: answers looked up, components made, no model.
Beside them stands rouge_score's own rougeL, one of the four numbers that `Summarization` gives, on a sample of the
same texts. Seconds are of one core's work: they say something about this machine, and the ratio about the programs.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from finetune_gate.evaluators.asking import Answer, Execution, Generation, Request, ScoreRequest, TokenLogprobs
from finetune_gate.evaluators.code_generation import CodeGeneration
from finetune_gate.evaluators.datasets import Dataset, Row
from finetune_gate.evaluators.evaluator import Answers, Evaluator, JudgedEvaluator
from finetune_gate.evaluators.multiple_choice import MultipleChoice
from finetune_gate.evaluators.question_answering import QuestionAnswering
from finetune_gate.evaluators.summarization import Summarization
from finetune_gate.evaluators.testing import made_dataset
from finetune_gate.evaluators.text_match import TextMatch

EXAMPLES = 10_000
SAMPLE = 300
WORDS = 60
CYRILLIC = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувщхыз")
ORDER = {
    "type": "object",
    "required": ["id", "items"],
    "properties": {"id": {"type": "string", "pattern": "^o[0-9]+$"}, "items": {"items": {"$ref": "#/$defs/item"}}},
    "$defs": {"item": {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}}},
}


@dataclass(frozen=True, slots=True)
class Task:
    """One evaluator, the column of references, and what is answered to each example."""

    what: str
    evaluator: Evaluator
    rows: Sequence[Row]
    texts: Sequence[str]


def main() -> int:
    draw = random.Random(0)
    rate = _reference(draw)
    print("| metric | examples per second | against rouge_score's rougeL |")
    print("|---|---|---|")
    print(f"| rouge_score 0.1.2: rougeL alone, on {SAMPLE} examples | {rate:,.0f} | 1.00 |")
    for task in tasks(draw):
        found = _rate(task)
        print(f"| {task.what} | {found:,.0f} | {found / rate:.2f} |", flush=True)
    return 0


def tasks(draw: random.Random) -> Sequence[Task]:
    """Every text metric with rows and answers of its own, made by ``draw``."""
    references = [_text(draw) for _ in range(EXAMPLES)]
    answers = [_text(draw) for _ in range(EXAMPLES)]
    lines = [[text.replace(" ", "\n", 3) for text in texts] for texts in (references, answers)]
    foreign = [[text.translate(CYRILLIC) for text in texts] for texts in (references, answers)]
    orders = [json.dumps({"id": f"o{at}", "items": [{"count": at % 7}] * 5}) for at in range(EXAMPLES)]
    short = [text[:30] for text in answers]

    def rows(column: str, values: Sequence[object]) -> list[Row]:
        return [{"text": str(at), column: value} for at, value in enumerate(values)]  # type: ignore[dict-item]

    def match(**settings: object) -> TextMatch:
        return TextMatch.model_validate({"data": "made", **settings})

    questions = rows("answer", [[text[:30], text[:20]] for text in references])
    choices = [{**row, "choices": ["red", "green", "blue", "ultramarine"], "answer": 1} for row in rows("none", short)]
    summaries = rows("summary", references)
    programs: list[Row] = [
        {"prompt": f"def f_{at}(a):\n", "entry_point": f"f_{at}", "calls": [{"arguments": [1], "result": at}]}
        for at in range(EXAMPLES)
    ]
    return (
        Task("summarization: four kinds of ROUGE", Summarization(data="made"), summaries, answers),
        Task("the same with the stemmer", Summarization(data="made", stemmer=True), summaries, answers),
        Task("the same, texts of four lines", Summarization(data="made"), rows("summary", lines[0]), lines[1]),
        Task("the same, Cyrillic", Summarization(data="made"), rows("summary", foreign[0]), foreign[1]),
        Task(
            "question_answering: exact match and F1, two references",
            QuestionAnswering(data="made", prompt="{text}"),
            questions,
            short,
        ),
        Task("text_match: BLEU and chrF", match(reference="reference"), rows("reference", references), answers),
        Task("text_match: a pattern", match(pattern=r"\b\w+ing\b.*\d$"), rows("none", answers), answers),
        Task("text_match: JSON", match(json=True), rows("none", answers), orders),
        Task("text_match: a JSON schema", match(json_schema=ORDER), rows("none", answers), orders),
        Task("multiple_choice: four options", MultipleChoice(data="made", prompt="{text}"), choices, short),
        Task(
            "code_generation: pass@1 and pass@10, 500 examples of 20 samples, nothing run",
            CodeGeneration(data="made", k=(1, 10), samples=20, temperature=0.8),
            programs[: EXAMPLES // 20],
            short,
        ),
    )


def _text(draw: random.Random) -> str:
    common = ("the", "of", "and", "report", "was", "late", "order", "new")
    return " ".join(draw.choice(common) if draw.random() < 0.4 else _word(draw) for _ in range(WORDS))


def _word(draw: random.Random) -> str:
    return (
        f"{draw.choice('bdfglmnprst')}{draw.choice('aeiou')}{draw.choice('bdklmnrst')}{draw.choice(('', 'ing', 's'))}"
    )


def _rate(task: Task) -> float:
    data: Mapping[str, Dataset] = {"made": made_dataset("made", task.rows)}
    requests = task.evaluator.requests(data)
    each = len(requests) // len(task.rows)
    answers = {request: _answer(request, task.texts[at // each]) for at, request in enumerate(requests)}
    _scoring(task.evaluator, {"made": made_dataset("made", task.rows[:2])}, answers)()  # imports
    return len(task.rows) / _seconds(_scoring(task.evaluator, data, answers))


def _scoring(evaluator: Evaluator, data: Mapping[str, Dataset], answers: Answers) -> Callable[[], object]:
    """Of one model; every other program passes."""
    if not isinstance(evaluator, JudgedEvaluator):
        return lambda: evaluator.score(data, answers)
    ran = {
        judge: {request: Execution("failed" if at % 2 else "passed") for at, request in enumerate(requests)}
        for judge, requests in evaluator.second_requests(data, {"candidate": answers}).items()
    }
    return lambda: evaluator.score_judged(data, {"candidate": answers}, ran)


def _answer(request: Request, text: str) -> Answer:
    return TokenLogprobs((-1.0, -2.0)) if isinstance(request, ScoreRequest) else Generation(text, "stop", WORDS)


def _reference(draw: random.Random) -> float:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    pairs = [(_text(draw), _text(draw)) for _ in range(SAMPLE)]
    return SAMPLE / _seconds(lambda: [scorer.score(reference, answer) for reference, answer in pairs])


def _seconds(work: Callable[[], object]) -> float:
    """CPU seconds: other work on the machine does not count."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
