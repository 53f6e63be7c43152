"""What people read of an example, evaluator by evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from contract_cases import CASES
from judging_court import DATA, ab, always_first, brief, perfect, right, says
from rubric_court import by_rubric
from rubric_court import perfect as perfect_scores

from finetune_gate.evaluators.asking import (
    Answer,
    Failed,
    GenerateRequest,
    Generation,
    Message,
    Request,
    ScoreRequest,
    TokenLogprobs,
)
from finetune_gate.evaluators.classification import Classification
from finetune_gate.evaluators.code_generation import CodeGeneration
from finetune_gate.evaluators.consistency import Consistency
from finetune_gate.evaluators.datasets import Dataset, Row
from finetune_gate.evaluators.evaluator import Answers, Evaluator, JudgedEvaluator
from finetune_gate.evaluators.finetunebench import FineTuneBench
from finetune_gate.evaluators.holdout import Holdout
from finetune_gate.evaluators.multiple_choice import MultipleChoice
from finetune_gate.evaluators.people.human import Human
from finetune_gate.evaluators.people.ratings import rating_line
from finetune_gate.evaluators.people.sheet import make_sheet, rating_of
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.evaluators.question_answering import QuestionAnswering
from finetune_gate.evaluators.references import MAX_CHARACTERS
from finetune_gate.evaluators.showing import Note, Said, ShowingEvaluator, Shown
from finetune_gate.evaluators.shown_answers import prompt_text, said, said_in_turn
from finetune_gate.evaluators.summarization import Summarization
from finetune_gate.evaluators.testing import Script, check_contract, made_dataset
from finetune_gate.evaluators.text_match import TextMatch

SILENT = Failed("the server is on fire")


def data_of(name: str, *rows: Row) -> dict[str, Dataset]:
    return {name: made_dataset(name, rows)}


def likely(**scores: tuple[float, ...]) -> Script:
    """A model that gives these log-probabilities to continuations, by their first word."""

    def answer(request: Request) -> Answer:
        assert isinstance(request, ScoreRequest)
        return TokenLogprobs(scores[request.continuation.split()[0]])

    return answer


def writes(text: str) -> Script:
    return lambda request: Generation(text, "stop", 1)


def silent(request: Request) -> Answer:
    return SILENT


def read(
    evaluator: Evaluator, data: Mapping[str, Dataset], scripts: Mapping[str, Script], judge: Script = silent
) -> Sequence[Shown]:
    assert isinstance(evaluator, ShowingEvaluator)
    answers: dict[str, Answers] = {
        role: {one: script(one) for one in evaluator.requests(data)} for role, script in scripts.items()
    }
    asked = evaluator.second_requests(data, answers) if isinstance(evaluator, JudgedEvaluator) else {}
    verdicts: dict[str, Answers] = {name: {one: judge(one) for one in some} for name, some in asked.items()}
    return evaluator.shown(data, answers, verdicts)


TICKET: Row = {"id": "17", "text": "it crashes", "label": "bug", "answer": "restart it"}
SUM: Row = {"id": "1", "question": "2 + 2?", "choices": ["four", "a very long way of saying five"], "answer": 0}
CHAT: Row = {
    "id": "c",
    "messages": [{"role": "user", "content": "where?"}, {"role": "assistant", "content": "here"}],
}
LABELS = ("bug", "praise")
TO_TICKETS: Mapping[str, object] = {"data": "d", "prompt": "T: {text}"}

READ: Mapping[str, tuple[Evaluator, Row, Script, Shown]] = {
    "classification": (
        Classification(data="d", labels=LABELS, prompt="T: {text}"),
        TICKET,
        likely(bug=(-0.5, -0.25), praise=(-3.0,)),
        Shown("17", "T: it crashes", "bug", {"candidate": Said("bug", detail="log-likelihood -0.750")}),
    ),
    "classification, per byte another": (
        Classification(data="d", labels=LABELS, prompt="T: {text}"),
        TICKET,
        likely(bug=(-0.9,), praise=(-1.2,)),
        Shown(
            "17",
            "T: it crashes",
            "bug",
            {"candidate": Said("bug", detail="log-likelihood -0.900; per byte: praise (-0.2000)")},
        ),
    ),
    "classification by text": (
        Classification(data="d", labels=LABELS, prompt="T: {text}", method="generate"),
        TICKET,
        writes("That is a bug."),
        Shown("17", "T: it crashes", "bug", {"candidate": Said("That is a bug.")}),
    ),
    "classification without a label": (
        Classification(data="d", labels=LABELS, prompt="T: {text}", method="generate", system="Be brief."),
        TICKET,
        writes("<b>dunno</b>"),
        Shown(
            "17", "Be brief.\n\nT: it crashes", "bug", {"candidate": Said("<b>dunno</b>", "no label was found in it")}
        ),
    ),
    "multiple_choice": (
        MultipleChoice(data="d"),
        SUM,
        likely(four=(-2.0,), a=(-2.5, -0.5)),
        Shown(
            "1",
            "2 + 2?\nAnswer:\n- four\n- a very long way of saying five",
            "four",
            {
                "candidate": Said(
                    "four", detail="log-likelihood -2.000; per character: a very long way of saying five (-0.1000)"
                )
            },
        ),
    ),
    "multiple_choice by letter": (
        MultipleChoice(data="d", prompt="{question}\n{options}\nAnswer:", scored="letter"),
        SUM,
        likely(A=(-2.0,), B=(-1.0,)),
        Shown(
            "1",
            "2 + 2?\nA) four\nB) a very long way of saying five\nAnswer:",
            "A) four",
            {"candidate": Said("B) a very long way of saying five", detail="log-likelihood -1.000")},
        ),
    ),
    "question_answering": (
        QuestionAnswering.model_validate(TO_TICKETS),
        {**TICKET, "answer": ["restart it", "turn it off"]},
        writes(" restart"),
        Shown("17", "T: it crashes", "restart it\nturn it off", {"candidate": Said(" restart")}),
    ),
    "summarization": (
        Summarization.model_validate({**TO_TICKETS, "reference": "answer"}),
        TICKET,
        writes(""),
        Shown("17", "T: it crashes", "restart it", {"candidate": Said("")}),
    ),
    "text_match": (
        TextMatch.model_validate({**TO_TICKETS, "json": True}),
        TICKET,
        writes("{}"),
        Shown("17", "T: it crashes", "", {"candidate": Said("{}")}),
    ),
    "code_generation": (
        CodeGeneration.model_validate({**TO_TICKETS, "samples": 2, "temperature": 1.0}),
        {**TICKET, "dialogues": [{"input": "", "output": "1\n"}], "reference": "print(1)"},
        lambda request: (
            SILENT if isinstance(request, GenerateRequest) and request.sample else Generation("x", "stop", 1)
        ),
        Shown(
            "17",
            "T: it crashes",
            "print(1)",
            {"candidate": Said("[program 1: not judged: the server is on fire]\nx", "the server is on fire")},
        ),
    ),
    "perplexity": (
        Perplexity(data="d"),
        TICKET,
        likely(it=(-1.0,)),
        Shown("17", "it crashes"),
    ),
    "perplexity of answers": (
        Perplexity(data="d", prompt="Q: {text}", answer="answer"),
        TICKET,
        likely(restart=(-1.0,)),
        Shown("17", "Q: it crashes", "restart it"),
    ),
    "perplexity of chats": (
        Perplexity(data="d", messages="messages"),
        CHAT,
        likely(here=(-1.0,)),
        Shown("c", "user: where?\n\nassistant: here"),
    ),
    "finetunebench": (
        FineTuneBench(data="d", topics=("coding",)),
        {"id": "f", "file": "coding_memorization.csv", "prompt": "Which flag?", "answer": "--new"},
        writes("--old"),
        Shown("f", "Which flag?", "--new", {"candidate": Said("--old")}),
    ),
    "consistency": (
        Consistency.model_validate({"data": "d", "prompt": "{text}", "rephrasings": "other", "reference": "answer"}),
        {**TICKET, "other": ["it dies"]},
        lambda request: Generation(f"<{request.prompt[-1].content}>", "stop", 1),  # type: ignore[union-attr]
        Shown(
            "17",
            "[wording 1]\nit crashes\n\n[wording 2]\nit dies",
            "restart it",
            {"candidate": Said("[wording 1]\n<it crashes>\n\n[wording 2]\n<it dies>")},
        ),
    ),
    "consistency of samples": (
        Consistency.model_validate({"data": "d", "prompt": "{text}", "samples": 2}),
        TICKET,
        writes("restart"),
        Shown("17", "it crashes", "", {"candidate": Said("[sample 1]\nrestart\n\n[sample 2]\nrestart")}),
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_people_read(name: str) -> None:
    evaluator, row, script, wanted = READ[name]
    assert list(read(evaluator, data_of("d", row), {"candidate": script})) == [wanted]


@pytest.mark.parametrize("name", READ)
def test_where_a_model_failed_the_reason_is_read(name: str) -> None:
    evaluator, row, _, wanted = READ[name]
    (shown,) = read(evaluator, data_of("d", row), {"candidate": silent, "base": silent})
    assert (shown.id, shown.asked, shown.wanted) == (wanted.id, wanted.asked, wanted.wanted)
    nobody = dict.fromkeys(("candidate", "base"), Said("", "the server is on fire"))
    assert shown.answers == (nobody if wanted.answers else {})


def test_every_evaluator_with_texts_to_read_shows_them() -> None:
    shows = {name for name, case in CASES.items() if isinstance(case()[0], ShowingEvaluator)}
    assert set(CASES) - shows == {"attribution", "overfitting", "overfitting with texts"}


def test_of_a_text_that_is_too_long_to_be_scored_the_text_is_shown_with_the_reason() -> None:
    long = said(Generation("a" * (MAX_CHARACTERS + 1), "length", 9))
    assert (len(long.text), long.fault is not None) == (MAX_CHARACTERS + 1, True)


def test_several_answers_stand_under_their_headings() -> None:
    assert said_in_turn([("a", Generation("", "stop", 0)), ("b", SILENT)]) == Said("[a]\n", SILENT.reason)
    assert said_in_turn([]) == Said("")


def test_holdout_shows_every_tier_as_it_was_scored() -> None:
    settings = {"seen": "s", "unseen": "u", "scored_by": "f1", "prompt": "{text}", "reference": "answer"}
    data = {**data_of("s", TICKET), **data_of("u", {**TICKET, "text": "it hangs"})}
    shown = read(Holdout.model_validate(settings), data, {"candidate": writes("restart")})
    assert [(one.id, one.asked, one.wanted) for one in shown] == [
        ("s/17", "it crashes", "restart it"),
        ("u/17", "it hangs", "restart it"),
    ]


def test_people_read_what_each_judge_said_in_both_orders() -> None:
    evaluator = ab(judge=["openai:/judge", "reference:/token_f1"], reference="answer", controls=1)
    shown = read(evaluator, DATA, {"candidate": right, "base": brief}, perfect)
    first = shown[0]
    assert first.answers["candidate"].text.startswith("Depot 0 lies in City 0")
    assert first.wanted == first.answers["candidate"].text
    pair = "candidate beside base"
    assert first.notes[0] == Note("openai:/judge", pair, "the candidate won (score 1.00)")
    assert [(note.by, note.about) for note in first.notes[1:]] == [
        ("openai:/judge", f"{pair}, candidate first"),
        ("openai:/judge", f"{pair}, candidate second"),
        ("reference:/token_f1", pair),
        ("reference:/token_f1", pair),
    ]
    controls = {one.id: one for one in shown if one.id.startswith("control/")}
    assert list(controls) == ["control/identical/0", "control/worse/0", "control/injection/0"]
    assert "[twice the same text]" in controls["control/identical/0"].asked
    assert "[worse text: " in controls["control/worse/0"].asked
    assert [(note.by, note.text) for note in controls["control/worse/0"].notes] == [
        ("openai:/judge", "right"),
        ("reference:/token_f1", "right"),
    ]


def test_of_equal_answers_and_of_failed_ones_judges_say_nothing() -> None:
    equal = read(ab(), DATA, {"candidate": right, "base": right}, perfect)
    failed = read(ab(), DATA, {"candidate": right, "base": silent}, perfect)
    mute = read(ab(), DATA, {"candidate": right, "base": brief})
    assert [one.notes for one in (equal[0], failed[0])] == [(), ()]
    assert failed[0].answers["base"] == Said("", SILENT.reason)
    assert [note.text for note in mute[0].notes] == ["no verdict: openai:/judge: the server is on fire"]


def test_a_judge_that_the_order_sways_is_said_to_be() -> None:
    swayed = says(lambda at: "nonsense")
    shown = read(ab(), DATA, {"candidate": right, "base": swayed}, always_first)
    assert shown[0].notes[0].text == "the candidate tied (score 0.50); the order changed the verdict"


def test_people_read_the_score_of_each_answer_with_its_reasons() -> None:
    shown = read(by_rubric(controls=1), DATA, {"candidate": right, "base": brief}, perfect_scores)
    assert [(note.about, note.text) for note in shown[0].notes] == [
        ("candidate", "5: because"),
        ("base", shown[0].notes[1].text),
    ]
    assert [one.id for one in shown[-2:]] == ["control/worse/0", "control/injection/0"]


def test_people_read_what_raters_chose_and_wrote() -> None:
    evaluator = Human(data="d", prompt="{text}", ratings="ratings", criteria=())
    data = {**data_of("d", TICKET), "ratings": made_dataset("ratings", [])}
    scripts = {"candidate": writes("restart"), "base": writes("pray")}
    answers: dict[str, Answers] = {
        role: {one: script(one) for one in evaluator.requests(data)} for role, script in scripts.items()
    }
    rows: list[Row] = []
    for rater, liked, notes in (("ana", "restart", "<i>short</i>"), ("bob", "pray", ""), ("cyd", "", "hm")):
        (item,) = make_sheet("t", evaluator.pairs(data, answers), rater).items
        choice = "tie" if not liked else "left" if item.left == liked else "right"
        rows.append(rating_line(rating_of(item, rater, choice, notes=notes)))  # type: ignore[arg-type]
    (shown,) = read(evaluator, {**data, "ratings": made_dataset("ratings", rows)}, scripts)
    pair = "candidate beside base"
    assert shown.notes == (
        Note("ana", pair, "chose the candidate: <i>short</i>"),
        Note("bob", pair, "chose the base"),
        Note("cyd", pair, "a tie: hm"),
    )


class LosesOne(QuestionAnswering):
    def shown(self, data: Mapping[str, Dataset], answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]):  # type: ignore[no-untyped-def]
        return super().shown(data, answers, verdicts)[1:]


class KnowsAThird(QuestionAnswering):
    def shown(self, data: Mapping[str, Dataset], answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]):  # type: ignore[no-untyped-def]
        return [replace(one, answers={"oracle": Said("42")}) for one in super().shown(data, answers, verdicts)]


class HidesFaults(QuestionAnswering):
    def shown(self, data: Mapping[str, Dataset], answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]):  # type: ignore[no-untyped-def]
        shown = super().shown(data, answers, verdicts)
        return [replace(one, answers={role: Said(some.text) for role, some in one.answers.items()}) for one in shown]


@pytest.mark.parametrize(
    ("broken", "says"), [(LosesOne, "other than the"), (KnowsAThird, "oracle"), (HidesFaults, "gives no fault")]
)
def test_the_contract_finds_evaluators_that_show_something_else(broken: type[QuestionAnswering], says: str) -> None:
    rows: list[Row] = [{"text": f"number {at}", "answer": f"{at}"} for at in range(30)]
    with pytest.raises(AssertionError, match=says):
        check_contract(broken(data="d", prompt="{text}"), {"d": made_dataset("d", rows)})


def test_a_conversation_as_prompt_is_shown_whole() -> None:
    assert prompt_text((Message("system", "a"), Message("user", "b"))) == "a\n\nb"
