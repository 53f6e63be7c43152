"""Hostile answers in a real browser: seen as they are spelled, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from opened_report import Open
from sample_examples import hostile_texts
from sample_records import hostile_record

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.evaluators.showing import Note, Said, Shown, ShownExamples
from finetune_gate.gate.reports import render_html
from finetune_gate.gate.reports.inert import spelled_out

pytestmark = pytest.mark.slow


def hostile_examples() -> tuple[ScoreTable, ShownExamples, Sequence[Shown]]:
    """Every text is hostile: ids, prompts, answers, faults, notes, reasons, and the names of a role, a component and a
    column."""
    texts = hostile_texts(1_000)
    scores = {
        role: {
            "correct": tuple(_correct(text, at + shift) for at, text in enumerate(texts)),
            texts[5]: tuple(float(at) for at in range(1_000)),
        }
        for shift, role in enumerate(("candidate", "base", texts[7]))
    }
    rows = tuple(ScoredExample(text, None, {texts[1]: texts[at % 3]}) for at, text in enumerate(texts))
    shown = tuple(
        Shown(
            text,
            texts[(at + 1) % 1_000],
            texts[(at + 2) % 1_000],
            {
                "candidate": Said(texts[(at + 3) % 1_000]),
                "base": Said("", texts[(at + 4) % 1_000]),
                texts[7]: Said(texts[(at + 5) % 1_000]),
            },
            (Note(texts[(at + 6) % 1_000], texts[(at + 7) % 1_000], texts[(at + 8) % 1_000]),),
        )
        for at, text in enumerate(texts)
    )
    return (
        ScoreTable((EvaluatorScores("classification", rows, scores),)),
        ShownExamples({"classification": shown}),
        shown,
    )


INSPECT = """() => {
    const tags = {};
    const acting = [];
    for (const one of document.querySelectorAll("*")) {
        tags[one.localName] = (tags[one.localName] ?? 0) + 1;
        const names = [...one.attributes].map(({ name }) => name);
        acting.push(...names.filter((name) => /^on|^(src|srcset|srcdoc|action|formaction)$/.test(name)));
    }
    const texts = [...document.querySelectorAll("#examples-list .text")].map((one) => one.textContent);
    const faults = [...document.querySelectorAll("#examples-list .fault")].map((one) => one.textContent);
    return { tags, acting, texts, faults, woken: window.woken ?? null };
}"""


CONTROLS = {"label": 1, "select": 1, "button": 6}
OF_A_CARD = {
    **dict.fromkeys(("article", "h3", "dl", "ul", "details", "summary", "table", "caption", "thead", "tbody"), 25),
    **{"li": 2 * 25, "dt": 2 * 25, "dd": 2 * 25, "h4": 3 * 25, "tr": 3 * 25, "th": 6 * 25, "td": 6 * 25},
    **{"div": 5 * 25, "p": 4 * 25},
}
"""What twenty-five cards and the controls add to a page; spans and options hang on scores and columns."""


def test_hostile_answers_make_no_node(open_page: Open) -> None:
    table, examples, shown = hostile_examples()
    source = render_html(hostile_record(), table, examples=examples)
    assert not re.search(
        "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", source
    )
    seen = open_page(source)
    before = seen.page.evaluate(INSPECT)["tags"]
    seen.wake()
    ends = [seen.page.locator("#examples-frame p").text_content()]
    assert ends == ["…"]
    for start in range(0, 1_000, 25):
        found = seen.page.evaluate(INSPECT)
        assert found["woken"] is None
        assert found["acting"] == []
        texts = [
            text
            for one in shown[start : start + 25]
            for text in (one.asked, one.wanted, one.answers["candidate"].text, _third(one), one.notes[0].text)
        ]
        assert found["texts"] == [spelled_out(text) for text in texts]
        assert found["faults"] == [spelled_out(one.answers["base"].fault or "") for one in shown[start : start + 25]]
        grown = {tag: count - before.get(tag, 0) for tag, count in found["tags"].items() if count != before.get(tag, 0)}
        assert grown == CONTROLS | OF_A_CARD | {"span": grown["span"], "option": grown["option"]}, start
        if start + 25 < 1_000:
            seen.page.get_by_role("button", name="Next").click()
    for text in (shown[3].asked, shown[8].wanted, "__proto__", "</script>", "\\ud800"):
        seen.search(text)
    for kind in ("won", "lost", "tied", "disagreed", "invalid"):
        seen.chip(kind).click()
    assert seen.troubles == []
    assert seen.requests == [seen.page.url]


def _correct(text: str, at: int) -> Value:
    return Unmeasured(text) if at % 9 == 0 else float(at % 2)


def _third(shown: Shown) -> str:
    return next(said.text for role, said in shown.answers.items() if role not in ("candidate", "base"))
