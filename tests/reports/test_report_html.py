"""The HTML page, read by a parser that forgives nothing. ``golden.py`` says how golden texts are made anew."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from golden import assert_golden
from sample_records import HOSTILE, STORIES, hostile_record, record_of, sample

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.gate.record import DecisionRecord, EvaluatorRecord
from finetune_gate.gate.reports import render_html
from finetune_gate.gate.reports.inert import inert_text
from finetune_gate.gate.reports.matrices import confusion_matrices
from finetune_gate.gate.reports.pictures import pictures_of
from finetune_gate.gate.reports.plots import WIDTH, plots_of
from finetune_gate.gate.reports.rows import rows_of_rules

VOID = {"meta", "link"}
ALLOWED = {
    *VOID,
    *("html", "head", "title", "style", "body", "header", "nav", "main", "section", "article", "h1", "h2", "h3"),
    *("p", "a", "span", "strong", "small", "sup", "code", "pre", "time", "dl", "dt", "dd", "div", "ol", "ul", "li"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure", "figcaption"),
    *("svg", "rect", "line", "circle", "text", "path"),
}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Page(HTMLParser):
    """Fails on anything that is not closed in order; keeps elements, attributes and text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, (tag, self.getpos())

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(f"<{tag}/> at {self.getpos()}")

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def hostile_page() -> str:
    table = sample("unmeasured")[1]
    scores, *others = table.evaluators
    columns = {f"{HOSTILE} {role}": values for role, values in scores.columns.items()}
    return render_html(
        hostile_record(), ScoreTable((EvaluatorScores(scores.evaluator, scores.examples, columns), *others))
    )


@pytest.mark.parametrize("name", ["hold", "first"])
def test_golden(name: str) -> None:
    record, scores = sample(name)
    page = render_html(record, scores)
    assert_golden(f"{name}.html", page)
    assert page == render_html(DecisionRecord.model_validate_json(record.canonical()), scores)


@pytest.mark.parametrize("name", STORIES)
def test_the_page_is_whole_and_needs_nothing_else(name: str) -> None:
    record, scores = sample(name)
    source = render_html(record, scores)
    assert source.startswith("<!DOCTYPE html>")
    page = Page(source)
    assert_inert(page)
    assert not re.search(r"url\(|@import|expression\(", source)
    assert len(page.all("h1")) == 1
    assert record.decision.capitalize() in page.text
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {(link["href"] or "")[1:] for link in page.all("a")} <= set(ids)
    for attributes in (attributes for _, attributes in page.elements if "aria-labelledby" in attributes):
        assert attributes["aria-labelledby"] in ids
    assert all(cell.get("scope") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in page.all("svg"))
    drawn = pictures_of(record, scores)
    pictures = [*(one for of in drawn.evaluators for one in of.pictures), *drawn.slices, drawn.coverage]
    assert len(page.all("svg")) == sum(len(plots_of(row)) for row in rows_of_rules(record)) + len(pictures)
    for rule in record.rules:
        assert rule.outcome in page.text


def assert_inert(page: Page) -> None:
    assert {tag for tag, _ in page.elements} <= ALLOWED
    policies = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [POLICY]
    assert [meta["http-equiv"] for meta in page.all("meta") if "http-equiv" in meta] == ["Content-Security-Policy"]
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    for tag, attributes in page.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "srcset", "action", "srcdoc")
        ]
        if "style" in attributes:
            assert re.fullmatch(r"--share: [01]\.\d\d", attributes["style"] or ""), attributes
        if "href" in attributes and tag != "link":
            assert re.fullmatch(r"#[a-z0-9-]+", attributes["href"] or ""), attributes


def test_hostile_text_makes_no_node(hostile_page: str) -> None:
    page = Page(hostile_page)
    assert_inert(page)
    assert "<script" not in hostile_page.lower()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", hostile_page)
    assert page.text.count(inert_text(HOSTILE, limit=2000)) > 20


def test_templates_are_not_found_in_texts(hostile_page: str) -> None:
    assert "{{ 7 * 7 }}" in hostile_page
    assert "49" not in re.findall(r"\{\{.*?\}\}", hostile_page)


def test_without_scores_there_is_no_confusion_matrix() -> None:
    assert "Confusion" not in Page(render_html(record_of("hold"))).text


def test_a_failed_warning_shows_and_changes_nothing() -> None:
    assert "warning only" in Page(render_html(record_of("block"))).text


def test_the_record_says_more_than_the_page_hides() -> None:
    """Settings, digests, versions and reasons: whatever the record rests on is on the page."""
    record, scores = sample("unmeasured")
    text = Page(render_html(record, scores)).text
    for said in (
        record.digest(), record.gate_file.digest, record.score_table.digest, record.run.key, "CUDA out of memory",
        *(model.digest for model in record.models), *(dataset.digest for dataset in record.datasets),
        *record.run.software, '"labels": [', "candidate: 280 of 320", "finetune-gate report decision-record.json",
    ):  # fmt: skip
        assert said in text


@pytest.mark.parametrize("name", STORIES)
def test_pictures_keep_to_their_frame_and_order(name: str) -> None:
    for row in rows_of_rules(record_of(name)):
        for plot in plots_of(row):
            assert 0 < plot.low <= plot.value <= plot.high < WIDTH
            assert 0 < plot.bound < WIDTH
            assert plot.outcome in plot.description
            places = [(tick.label.row, tick.label.x) for tick in plot.ticks]
            assert len(set(places)) == len(places)


CLASSIFIER = EvaluatorRecord(title="queue", kind="classification", version=1, settings={"labels": ["a", "b"]})


def table_of(**roles: list[tuple[Value, Value]]) -> ScoreTable:
    n = len(next(iter(roles.values())))
    examples = tuple(ScoredExample(str(i), None, {}) for i in range(n))
    columns = {
        role: {"label": tuple(one[0] for one in pairs), "prediction": tuple(one[1] for one in pairs)}
        for role, pairs in roles.items()
    }
    return ScoreTable((EvaluatorScores("queue", examples, columns),))


def test_confusion_is_counted_from_the_score_table() -> None:
    lost = Unmeasured("timeout")
    table = table_of(
        candidate=[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 2.0), (1.0, lost)],
        base=[(0.0, 0.0), (0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (1.0, 1.0)],
    )
    candidate, base = confusion_matrices(CLASSIFIER, table)
    assert candidate.predictions == base.predictions == ("a", "b", "[invalid]")
    assert candidate.counts == ((1, 1, 0), (0, 1, 1))
    assert candidate.shares == ((0.5, 0.5, 0.0), (0.0, 0.5, 0.5))
    assert (candidate.right, candidate.scored, candidate.unscored) == (2, 4, 1)
    assert base.counts == ((2, 0, 0), (1, 2, 0))


def test_codes_that_are_no_label_are_not_counted() -> None:
    (matrix,) = confusion_matrices(CLASSIFIER, table_of(base=[(0.0, 0.0), (7.0, 0.0), (0.5, 0.0), (-1.0, 0.0)]))
    assert (matrix.counts, matrix.unscored, matrix.predictions) == (((1, 0), (0, 0)), 3, ("a", "b"))


def test_other_evaluators_have_no_confusion() -> None:
    perplexity = CLASSIFIER.model_copy(update={"kind": "perplexity"})
    assert confusion_matrices(perplexity, table_of(base=[(0.0, 0.0)])) == ()
    assert confusion_matrices(CLASSIFIER, ScoreTable(())) == ()


def test_many_labels_become_a_list_of_mistakes() -> None:
    labels = [f"intent {i}" for i in range(40)]
    wide = CLASSIFIER.model_copy(update={"settings": {"labels": labels}})
    pairs: list[tuple[Value, Value]] = [(float(i % 40), float((i * i) % 40)) for i in range(400)]
    (matrix,) = confusion_matrices(wide, table_of(candidate=pairs))
    assert not matrix.drawn
    assert len(matrix.mistakes) == 12
    record = record_of("hold").model_copy(update={"evaluators": (wide,)})
    text = Page(render_html(record, table_of(candidate=pairs))).text
    assert "too many for a matrix" in text
    assert "Taken for" in text
