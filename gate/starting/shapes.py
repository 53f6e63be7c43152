"""What data can be taken for, by its columns: the surest first. Each is tried on the evaluators themselves later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from finetune_gate.evaluators.references import references_of

from .columns import Columns
from .found import Entry, Settings

MOST_LABELS = 50
SHORT_ANSWER = 60
"""Characters."""

HOLDOUT = "holdout"
TEXTS = (
    "text",
    "sentence",
    "content",
    "body",
    "message",
    "input",
    "document",
    "article",
    "review",
    "ticket",
    "question",
)
LABELS = ("label", "labels", "class", "target", "intent", "sentiment", "topic")
QUESTIONS = ("question", "query", "problem", "stem", "prompt", "instruction", "input")
ANSWERS = ("answer", "answers", "reference", "references")
CONTEXTS = ("context", "passage", "paragraph", "document")
OPTIONS = ("choices", "options", "endings", "candidates")
RIGHT_OPTIONS = (
    "answer",
    "answer_idx",
    "answer_index",
    "answerkey",
    "answer_key",
    "correct",
    "label",
    "gold",
    "target",
    "key",
)
OPTION_COLUMNS = (("a", "b", "c", "d", "e"), ("option_a", "option_b", "option_c", "option_d", "option_e"))
SUMMARIES = ("summary", "highlights", "abstract", "tldr")
SOURCES = ("text", "document", "article", "dialogue", "content", "body", "source", "note", "report")
PROMPTS = ("prompt", "instruction", "input", "question", "query", "source")
COMPLETIONS = ("completion", "response", "output", "chosen", "answer", "target", "reference", "reply")
CHATS = ("messages", "conversation", "conversations", "chat", "dialog", "dialogue")

_OWN_PROMPT = "the prompt is made up: write the one that the model was fine-tuned with; {column} is filled from the row"
_PERPLEXITY = "how surprised the model is by held-out text; it needs log-probabilities"


@dataclass(frozen=True, slots=True)
class Shape:
    """``main`` decides; ``beside`` is measured as well, where its evaluator accepts the data. ``scored_by`` and
    ``scoring`` say how `holdout` scores the same examples, ``passages`` how texts are scored by log-likelihood, the
    fittest first. ``used``: columns that are no slices."""

    name: str
    main: Entry
    used: tuple[str, ...]
    beside: tuple[Entry, ...] = ()
    scored_by: str = "loss"
    scoring: Settings | None = None
    passages: tuple[Settings, ...] = ()
    label: str | None = None


def shapes_of(columns: Columns, *, scores_tokens: bool) -> Iterator[Shape]:
    """``scores_tokens``: the model gives log-probabilities. Where it does not, only what it writes can be measured."""
    if scores_tokens:
        yield from _multiple_choice(columns)
    yield from _question_answering(columns)
    yield from _summarization(columns)
    yield from _classification(columns, scores_tokens)
    yield from _chat(columns)
    yield from _completion(columns, scores_tokens)
    yield from _documents(columns)


def _multiple_choice(columns: Columns) -> Iterator[Shape]:
    question, right = columns.text(*QUESTIONS, "text"), next(iter(columns.named(*RIGHT_OPTIONS)), None)
    listed = columns.lists(*OPTIONS)
    apart = next((found for names in OPTION_COLUMNS if len(found := _texts(columns, names)) >= 2), ())
    if question is None or right is None or not (listed or apart):
        return
    own: Settings = {"choices": listed} if listed else {"choice_columns": list(apart)}
    settings = {"data": HOLDOUT, "prompt": f"{{{question}}}\nAnswer:", **own, "answer": right}
    used = (question, right, *apart, *((listed,) if listed else ()))
    main = Entry("multiple_choice", settings, ("the likeliest of the options, as continuations of the prompt",))
    yield Shape("multiple choice", main, used, passages=(_named(text=question),))


def _question_answering(columns: Columns) -> Iterator[Shape]:
    question, answer = columns.text("question", "query", "problem"), columns.answers(*ANSWERS)
    if question is None or answer is None or not _short(columns, answer):
        return
    context = columns.text(*CONTEXTS)
    asked = f"{{{question}}}\n\nAnswer in as few words as possible.\nAnswer:"
    prompt = f"{{{context}}}\n\n{asked}" if context else asked
    settings = {
        "data": HOLDOUT, "prompt": prompt, "reference": answer, "max_new_tokens": _tokens(columns, answer),
        "stop": ["\n"],
    }  # fmt: skip
    main = Entry("question_answering", settings, ("short answers beside references", _OWN_PROMPT))
    scoring: Settings = {key: settings[key] for key in ("prompt", "reference", "max_new_tokens", "stop")}
    passages: tuple[Settings, ...] = ({"prompt": prompt, "answer": answer}, _named(text=question))
    used = (question, answer, *((context,) if context else ()))
    yield Shape("question answering", main, used, scored_by="f1", scoring=scoring, passages=passages)


def _summarization(columns: Columns) -> Iterator[Shape]:
    source, summary = columns.text(*SOURCES), columns.answers(*SUMMARIES, "reference", "references")
    if source is None or summary is None or source == summary:
        return
    prompt = f"{{{source}}}\n\nSummary:"
    settings = {
        "data": HOLDOUT, "prompt": prompt, "reference": summary,
        "max_new_tokens": _tokens(columns, summary),
    }  # fmt: skip
    main = Entry("summarization", settings, ("ROUGE beside reference summaries", _OWN_PROMPT))
    passages: tuple[Settings, ...] = ({"prompt": prompt, "answer": summary}, _named(text=source))
    yield Shape("summarization", main, (source, summary), passages=passages)


def _classification(columns: Columns, scores_tokens: bool) -> Iterator[Shape]:
    label = columns.labels(*LABELS, most=MOST_LABELS)
    if label is None:
        return
    named = [name for name in columns.named(*TEXTS) if name != label and columns.text(name)]
    text = named[0] if named else columns.longest_text
    if text is None or text == label:
        return
    told = "" if "labels" in columns.dataset.columns else "Answer with one of these labels: {labels}.\n"
    prompt = f"{{{text}}}\n\n{told}Label:"
    method = "loglikelihood" if scores_tokens else "generate"
    own: Settings = {"labels": sorted(columns.counts(label)), "prompt": prompt, **_named(label=label), "method": method}
    why = [_OWN_PROMPT]
    if scores_tokens:
        why.append("method: generate lets the model write, and looks for the label in that")
    main = Entry("classification", {"data": HOLDOUT, **own}, tuple(why))
    beside = (_perplexity(_named(text=text), why=(_PERPLEXITY,)),) if scores_tokens else ()
    passages: tuple[Settings, ...] = ({"prompt": f"{{{text}}}\n\nLabel:", "answer": label}, _named(text=text))
    yield Shape("classification", main, (text, label), beside, "accuracy", own, passages, label)


def _chat(columns: Columns) -> Iterator[Shape]:
    messages = columns.conversations(*CHATS)
    if messages is not None:
        why = "how surprised the model is by the assistant's turns, given what came before"
        settings: Settings = {"messages": messages}
        yield Shape("chat", _perplexity(settings, why=(why,)), (messages,), passages=(settings,))


def _completion(columns: Columns, scores_tokens: bool) -> Iterator[Shape]:
    for prompt in (name for name in columns.named(*PROMPTS) if columns.text(name)):
        answer = columns.text(*(name for name in COMPLETIONS if name != prompt.lower()))
        if answer is None:
            continue
        more = columns.named("input") if prompt.lower() == "instruction" else []
        asked = "\n\n".join(f"{{{name}}}" for name in (prompt, *more))
        judge: Settings = {
            "data": HOLDOUT, "prompt": asked, "max_new_tokens": _tokens(columns, answer),
            "judge": ["openai:/gpt-4o"], "criteria": "the answer is right, complete and to the point",
            "reference": answer,
        }  # fmt: skip
        offered = Entry("ab_judge", judge, ("ready to be judged: name a judge, see docs/evaluators/ab_judge.md",), True)
        scored: Settings = {"prompt": asked, "answer": answer}
        if scores_tokens:
            main = _perplexity(scored, why=("how surprised the model is by the answers, given their prompts",))
        else:
            wanted = {"data": HOLDOUT, "prompt": asked, "reference": answer, "max_new_tokens": _tokens(columns, answer)}
            main = Entry("text_match", wanted, ("chrF beside the references, of what the model writes",))
        yield Shape("prompts and completions", main, (prompt, answer, *more), (offered,), passages=(scored,))
        return


def _documents(columns: Columns) -> Iterator[Shape]:
    text = columns.text("text") or columns.longest_text
    if text is not None:
        settings = _named(text=text)
        yield Shape("documents", _perplexity(settings, why=(_PERPLEXITY,)), (text,), passages=(settings,))


def _perplexity(settings: Settings, why: tuple[str, ...]) -> Entry:
    return Entry("perplexity", {"data": HOLDOUT, **settings}, why)


def _named(**columns: str) -> Settings:
    """Settings that name columns, but for those called as the setting is: that is where evaluators look anyway."""
    return {setting: column for setting, column in columns.items() if column != setting}


def _texts(columns: Columns, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in columns.named(*names) if columns.text(name))


def _short(columns: Columns, answer: str) -> bool:
    """Whether references are names and numbers rather than prose: equal words then mean an equal answer."""
    return _length(columns, answer, 0.5) <= SHORT_ANSWER


def _tokens(columns: Columns, answer: str) -> int:
    """Room for nearly all references: three characters are about a token, or less than one."""
    return min(1024, max(32, 16 * ceil(_length(columns, answer, 0.95) / 48)))


def _length(columns: Columns, answer: str, share: float) -> int:
    """In characters, of the longest reference of each row: ``share`` of the rows have no longer one."""
    lengths = sorted(max(map(len, references_of(cell)), default=0) for cell in columns.cells(answer))
    return lengths[ceil(share * len(lengths)) - 1] if lengths else 0
