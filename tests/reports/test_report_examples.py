"""What the page embeds of examples: everything that was shown, once, inert, and marked by who was better."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from golden import assert_golden
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_examples import AFTER, BEFORE, hostile_texts, read_page, sample_with_examples
from sample_records import record_of, sample

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.evaluators.showing import Note, Said, Shown, ShownExamples
from finetune_gate.gate.record import DecisionRecord, EvaluatorRecord
from finetune_gate.gate.reports import examples as embedding
from finetune_gate.gate.reports import render_html
from finetune_gate.gate.reports.chief import Chief, chief_of
from finetune_gate.gate.reports.examples import DISAGREED, INVALID, LOST, TIED, WON, examples_page, outcome
from finetune_gate.gate.reports.inert import spelled_out


def test_golden() -> None:
    record, table, examples = sample_with_examples()
    first = ShownExamples({title: shown[:24] for title, shown in examples.by_evaluator.items()})
    page = render_html(record, table, examples=first)
    assert_golden("examples.html", page)
    again = DecisionRecord.model_validate_json(record.canonical())
    assert page == render_html(again, table, examples=ShownExamples(dict(first.by_evaluator)))


def test_every_example_is_found_again() -> None:
    record, table, examples = sample_with_examples()
    tickets, texts = read_page(render_html(record, table, examples=examples))
    assert (tickets.fields["title"], texts.fields["title"]) == ("classification", "perplexity")
    before, after = tickets.text("before"), tickets.text("after")
    assert (BEFORE.startswith(before), AFTER.endswith(after), bool(before), bool(after)) == (True, True, True, True)
    shown = [Shown(one.id, before + one.asked + after, one.wanted, one.answers, one.notes) for one in tickets.shown()]
    assert shown == list(examples.by_evaluator["classification"])
    assert [one.id for one in texts.shown()] == [one.id for one in examples.by_evaluator["perplexity"]]


def test_scores_and_slices_are_those_of_the_table() -> None:
    record, table, examples = sample_with_examples()
    read = read_page(render_html(record, table, examples=examples))[0]
    scores = table.of("classification")
    for component, columns in read.fields["scores"]:
        for role, number in zip(read.fields["roles"], columns, strict=True):
            assert read.score_column(number) == pytest.approx(scores.columns[role][component], rel=1e-3)
    ((name, column),) = read.fields["slices"]
    assert name == "category"
    assert read.text_column(column) == [example.slices["category"] for example in scores.examples]


def test_marks_say_who_was_better() -> None:
    record, table, examples = sample_with_examples()
    read = read_page(render_html(record, table, examples=examples))[0]
    assert read.fields["chief"] == {"name": "correct", "higher": True, "pair": False}
    shown = examples.by_evaluator["classification"]
    columns = table.of("classification").columns
    for role, marks in zip(("base", "champion"), read.fields["marks"], strict=True):
        for at, digit in enumerate(marks):
            ours, theirs = columns["candidate"]["correct"][at], columns[role]["correct"][at]
            assert int(digit, 16) & 3 == (TIED if ours == theirs else WON if ours == 1.0 else LOST)
            mine, other = shown[at].answers["candidate"], shown[at].answers[role]
            assert bool(int(digit, 16) & DISAGREED) == (mine.text != other.text)
            assert bool(int(digit, 16) & INVALID) == (other.fault is not None)


UP = Chief("f1", "f1", None, higher_is_better=True, pair=False)
DOWN = Chief("nll", "nll", "tokens", higher_is_better=False, pair=False)
PAIR = Chief("win_rate", "win", None, higher_is_better=True, pair=True)
NONE = Unmeasured("timeout")


@pytest.mark.parametrize(
    ("chief", "ours", "theirs", "expected"),
    [
        (UP, 0.8, 0.2, WON), (UP, 0.2, 0.8, LOST), (UP, 0.5, 0.5, TIED), (UP, NONE, 0.5, 0), (UP, 0.5, NONE, 0),
        (DOWN, 0.8, 0.2, LOST), (DOWN, 0.2, 0.8, WON), (DOWN, 0.0, 0.0, TIED),
        (PAIR, NONE, 1.0, WON), (PAIR, NONE, 0.0, LOST), (PAIR, NONE, 0.5, TIED), (PAIR, NONE, NONE, 0),
        (PAIR, NONE, 0.7, WON),
    ],
)  # fmt: skip
def test_outcomes(chief: Chief, ours: Value, theirs: Value, expected: int) -> None:
    assert outcome(chief, ours, theirs) == expected


def test_a_score_that_is_a_share_is_divided() -> None:
    components = {"nll": (6.0, NONE, 1.0, 2.0), "tokens": (3.0, 1.0, 0.0, NONE)}
    assert DOWN.scores(components) == (2.0, NONE, Unmeasured("nothing to divide by"), NONE)
    assert DOWN.name == "nll / tokens"


def evaluator_of(title: str) -> EvaluatorRecord:
    return next(one for one in record_of("hold").evaluators if one.title == title)


def test_the_chief_score_is_the_one_that_rules_look_at() -> None:
    record, table = sample("hold")
    texts = table.of("perplexity").columns["base"]
    chief = chief_of(record, evaluator_of("perplexity"), texts)
    assert chief == Chief("perplexity", "nll", "tokens", higher_is_better=False, pair=False)
    surprise = next(at for at, one in enumerate(record.measurements) if one.metric == "classification.label_nll")
    ruled = (record.rules[0].model_copy(update={"measurement": surprise}), *record.rules[1:])
    labels = table.of("classification").columns["base"]
    chief = chief_of(record.model_copy(update={"rules": ruled}), evaluator_of("classification"), labels)
    assert chief == Chief("label_nll", "label_nll", None, higher_is_better=False, pair=False)


def test_evaluators_that_are_not_built_in_are_never_imported() -> None:
    record, table = sample("hold")
    foreign = evaluator_of("classification").model_copy(update={"kind": "this:raises"})
    labels = table.of("classification").columns["base"]
    assert chief_of(record, foreign, labels) == Chief(
        "label_nll", "label_nll", None, higher_is_better=False, pair=False
    )  # the one metric that has the name of a component
    assert chief_of(record, foreign, ("correct",)) is None
    broken = evaluator_of("classification").model_copy(update={"settings": {"labels": 7}})
    assert chief_of(record, broken, ("correct",)) is None


def small(shown: Sequence[Shown], scores: ScoreTable | None = None) -> str:
    return render_html(record_of("hold"), scores, examples=ShownExamples({"classification": tuple(shown)}))


def test_without_scores_there_are_still_answers() -> None:
    (read,) = read_page(small([Shown("a", "?", "", {"base": Said("no"), "candidate": Said("yes")})]))
    assert read.fields["chief"] is None
    assert read.fields["roles"] == ["candidate", "base"]
    assert read.fields["marks"] == [f"{DISAGREED:x}"]
    assert read.fields["scores"] == read.fields["slices"] == []


@pytest.mark.parametrize(
    ("ours", "theirs", "differ"),
    [
        ("bug", " bug\n", False),
        ("bug", "Bug", True),
        ("bug", "praise", True),
        ("It is 42.", "It is 43.", True),
    ],
    ids=["white space", "case", "option", "number"],
)
def test_answers_disagree_where_they_say_something_else(ours: str, theirs: str, differ: bool) -> None:
    (read,) = read_page(small([Shown("a", "?", "", {"candidate": Said(ours), "base": Said(theirs)})]))
    assert read.fields["marks"] == [f"{DISAGREED if differ else 0:x}"]


def test_examples_that_the_table_lacks_have_no_score() -> None:
    columns = {role: {"correct": (1.0,)} for role in ("candidate", "base")}
    table = ScoreTable((EvaluatorScores("classification", (ScoredExample("b", None, {"c": "d"}),), columns),))
    said = {"candidate": Said("x"), "base": Said("x"), "champion": Said("", "timeout")}
    (read,) = read_page(small([Shown("a", "?", "", said), Shown("b", "?", "", said)], table))
    assert read.score_column(read.fields["chiefly"][0]) == ["the score table has no score of it", 1]
    assert read.fields["marks"] == [f"0{TIED:x}", f"{DISAGREED | INVALID:x}" * 2]
    assert read.text_column(read.fields["slices"][0][1]) == [None, "d"]


def test_nothing_to_show_leaves_the_page_without_a_script() -> None:
    record, table = sample("hold")
    plain = render_html(record, table)
    assert "<script" not in plain
    for examples in (
        ShownExamples({}),
        ShownExamples({"classification": ()}),
        ShownExamples({"x": (Shown("a", "?"),)}),
    ):
        assert examples_page(record, table, examples) is None
        assert render_html(record, table, examples=examples) == plain


def test_long_texts_are_cut_where_all_would_be_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    (read,) = read_page(small([Shown("a", "x" * 9_000, "y" * 8_000)]))
    (shown,) = read.shown()
    assert shown.asked == "x" * 8_000 + "… [the first 8,000 of 9,000 characters]"
    assert shown.wanted == "y" * 8_000
    monkeypatch.setattr(embedding, "ALL_TEXTS", 5_000)
    (read,) = read_page(small([Shown("a", "x" * 9_000, "y" * 8_000)]))
    assert read.shown()[0].wanted == "y" * 2_000 + "… [the first 2,000 of 8,000 characters]"


def test_more_examples_than_a_page_holds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "MOST_EXAMPLES", 3)
    (read,) = read_page(small([Shown(str(at), "?") for at in range(5)]))
    assert (read.fields["leftOut"], [one.id for one in read.shown()]) == (2, ["0", "1", "2"])


@pytest.mark.parametrize(
    ("asked", "before", "after"),
    [
        (["one"], "", ""),
        (["the same words for all of them"] * 3, "", ""),
        (
            [f"A long enough beginning of it: {word} end" for word in ("aa", "ab")],
            "A long enough beginning of it: ",
            "",
        ),
        (
            [f"{word} and then a long enough end of it" for word in ("aa", "ba")],
            "",
            " and then a long enough end of it",
        ),
        (["a common beginning of it", "a common beginning of it all"], "a common beginning of ", ""),
        (["", "a common beginning of it all"], "", ""),
    ],
)
def test_what_prompts_have_in_common_is_held_once(asked: list[str], before: str, after: str) -> None:
    (read,) = read_page(small([Shown(str(at), text) for at, text in enumerate(asked)]))
    assert (read.text("before"), read.text("after")) == (before, after)
    assert [before + one.asked + after for one in read.shown()] == asked


ANY_TEXT = st.text(st.characters(), max_size=12) | st.sampled_from(hostile_texts(40))
ANY_SAID = st.builds(Said, ANY_TEXT, st.none() | ANY_TEXT)
ANY_SHOWN = st.builds(
    Shown,
    id=ANY_TEXT,
    asked=ANY_TEXT,
    wanted=ANY_TEXT,
    answers=st.dictionaries(st.sampled_from(["candidate", "base", "champion"]), ANY_SAID),
    notes=st.lists(st.builds(Note, ANY_TEXT, ANY_TEXT, ANY_TEXT), max_size=2).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY_SHOWN, min_size=1, max_size=70))
def test_whatever_is_shown_is_found_again_and_inert(shown: list[Shown]) -> None:
    page = examples_page(record_of("hold"), None, ShownExamples({"classification": tuple(shown)}))
    assert page is not None
    again = examples_page(record_of("hold"), None, ShownExamples({"classification": tuple(shown)}))
    assert again == page
    page.data.encode()  # no lone surrogate is left
    (read,) = read_page(f'<script type="application/json" id="examples-data">{page.data}</script>')
    before, after = read.text("before"), read.text("after")
    found = [Shown(one.id, before + one.asked + after, one.wanted, one.answers, one.notes) for one in read.shown()]
    assert found == [_inert(one) for one in shown]


def _inert(shown: Shown) -> Shown:
    def said(one: Said) -> Said:
        return Said(spelled_out(one.text), spelled_out(one.fault) if one.fault else None)

    notes = tuple(Note(*(spelled_out(text) for text in (one.by, one.about, one.text))) for one in shown.notes)
    answers = {role: said(one) for role, one in shown.answers.items()}
    return Shown(spelled_out(shown.id), spelled_out(shown.asked), spelled_out(shown.wanted), answers, notes)


def test_two_thousand_examples_with_many_scores_stay_small() -> None:
    """Ten thousand are to stay under 5 MB beyond their text; a fifth of them, under a fifth of that."""
    luck = random.Random(2)
    count, roles = 2_000, ("candidate", "base", "champion")
    shown = [
        Shown(f"row-{at}", f"question {at}", "", {role: Said(f"{role} {at}") for role in roles}) for at in range(count)
    ]
    columns = {role: {f"c{k}": tuple(luck.random() for _ in shown) for k in range(20)} for role in roles}
    scored = tuple(ScoredExample(one.id, None, {"slice": str(at % 7)}) for at, one in enumerate(shown))
    table = ScoreTable((EvaluatorScores("classification", scored, columns),))
    page = examples_page(record_of("hold"), table, ShownExamples({"classification": tuple(shown)}))
    assert page is not None
    text = sum(len(one.asked) + sum(len(said.text) for said in one.answers.values()) for one in shown)
    assert len(page.data.encode()) - text < 1_000_000
