"""The report in a real browser: from disk, in a frame, without scripts, by keyboard, printed."""

from __future__ import annotations

from html import escape
from typing import Any, cast

import pytest
from opened_report import Open
from playwright.sync_api import expect
from sample_examples import sample_with_examples
from sample_records import record_of, sample

from finetune_gate.evaluators.showing import Said, Shown, ShownExamples
from finetune_gate.gate.reports import render_html

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report() -> str:
    record, table, examples = sample_with_examples()
    return render_html(record, table, examples=examples)


def test_the_report_opens_from_disk_and_asks_for_nothing(open_page: Open, report: str) -> None:
    seen = open_page(report)
    assert seen.page.title() == "Hold: support-bot v7"
    assert seen.page.locator("#examples-desk").is_hidden()
    assert seen.page.locator("#examples-asleep").is_hidden()
    seen.wake()
    seen.counts("120 of 120 examples, 1 to 25 shown.")
    assert seen.requests == [seen.page.url]
    assert seen.troubles == []


def test_chips_show_what_they_count(open_page: Open, report: str) -> None:
    seen = open_page(report)
    seen.wake()
    _, table, examples = sample_with_examples()
    columns = table.of("classification").columns
    pairs = list(zip(columns["candidate"]["correct"], columns["base"]["correct"], strict=True))
    names = [one.id for one in examples.by_evaluator["classification"]]
    expected = {
        "won": [name for name, (ours, theirs) in zip(names, pairs, strict=True) if ours != theirs and ours == 1],
        "lost": [name for name, (ours, theirs) in zip(names, pairs, strict=True) if ours != theirs and ours == 0],
        "tied": [name for name, (ours, theirs) in zip(names, pairs, strict=True) if ours == theirs],
        "invalid": [name for at, name in enumerate(names) if at % 20 == 3],
        "disagreed": [
            one.id
            for one in examples.by_evaluator["classification"]
            if one.answers["candidate"].text != one.answers["base"].text
        ],
        "all": names,
    }
    for kind, wanted in expected.items():
        assert seen.chip(kind).inner_text() == f"{kind.capitalize()} {len(wanted)}"
        seen.chip(kind).click()
        expect(seen.chip(kind)).to_have_attribute("aria-pressed", "true")
        expect(seen.page.locator('#examples-chips [aria-pressed="true"]')).to_have_count(1)
        assert wanted, kind
        assert seen.ids() == wanted[:25]
    assert seen.troubles == []


def test_slices_search_and_pages_narrow_the_list(open_page: Open, report: str) -> None:
    seen = open_page(report)
    seen.wake()
    _, table, examples = sample_with_examples()
    billing = [one.id for one in table.of("classification").examples if one.slices["category"] == "billing"]
    seen.choose("slices", "billing")
    assert seen.ids() == billing[:25]
    expect(seen.chip("all")).to_have_text(f"All {len(billing)}")
    seen.choose("slices", "all")

    seen.page.get_by_role("button", name="Next").click()
    assert seen.ids() == [one.id for one in examples.by_evaluator["classification"][25:50]]
    expect(seen.page.locator("#examples-count")).to_be_focused()
    seen.counts("120 of 120 examples, 26 to 50 shown.")
    expect(seen.page.locator("#examples-pages")).to_contain_text("Page 2 of 5")

    seen.search("CRASHES number 2")  # words of one text, in any order and case
    crashing = [
        one.id for at, one in enumerate(examples.by_evaluator["classification"]) if at % 4 == 2 and "2" in str(at)
    ]
    assert seen.ids() == crashing
    seen.search("no label in the answer")  # why an answer could not be read
    seen.counts("6 of 120 examples, 1 to 6 shown.")
    seen.search("gpt-4o nothing like that")
    seen.counts("0 of 120 examples.")
    assert seen.page.locator("#examples-pages").is_hidden()
    seen.search("ticket 40 is plain")  # a judge's note
    assert seen.ids() == ["ticket-040"]
    assert seen.troubles == []


def test_orders_by_score_and_difference(open_page: Open, report: str) -> None:
    seen = open_page(report)
    seen.wake()
    seen.choose("evaluator", "perplexity")
    scores = sample_with_examples()[1].of("perplexity")
    per_token = {
        role: [_share(nll, tokens) for nll, tokens in zip(columns["nll"], columns["tokens"], strict=True)]
        for role, columns in scores.columns.items()
    }
    names = [one.id for one in scores.examples]
    ours = dict(zip(names, per_token["candidate"], strict=True))
    for against in ("base", "champion"):
        seen.choose("against", against)
        gap = {name: ours[name] - theirs for name, theirs in zip(names, per_token[against], strict=True)}
        for label, key in {
            "candidate's best first": ours, "candidate's worst first": {name: -value for name, value in ours.items()},
            "won by most first": gap, "lost by most first": {name: -value for name, value in gap.items()},
        }.items():  # fmt: skip
            seen.choose("order", label)
            values = [key[name] for name in seen.ids()]
            assert values == pytest.approx(sorted(key.values())[:25], abs=2e-3), label
    seen.choose("order", "as in the data")
    assert seen.ids() == names[:25]
    assert seen.troubles == []


def _share(value: object, divisor: object) -> float:
    assert isinstance(value, float)
    assert isinstance(divisor, float)
    return value / divisor


def test_an_example_stands_side_by_side_with_all_that_is_known_of_it(open_page: Open, report: str) -> None:
    seen = open_page(report)
    seen.wake()
    columns = sample("hold")[1].of("classification").columns
    roles = ("candidate", "base", "champion")
    card = seen.page.locator("#examples-list article").first
    assert card.locator("h4").all_text_contents() == [
        f"{role.capitalize()}correct {columns[role]['correct'][0]:g}" for role in roles
    ]
    boxes = [box for answer in card.locator(".answer").all() if (box := answer.bounding_box())]
    assert len({round(box["y"]) for box in boxes}) == 1
    assert len({round(box["x"]) for box in boxes}) == 3
    assert "openai:/gpt-4o on candidate" in card.inner_text()
    card.get_by_text("All scores").click()
    assert card.locator("tbody th").all_inner_texts() == list(columns["base"])
    seen.page.locator("#examples-frame summary").click()
    assert seen.page.locator("#examples-frame p").inner_text().startswith("Sort this ticket into billing")
    unread = seen.page.locator("#examples-list article").nth(3)
    assert "no label in the answer" in unread.inner_text()
    assert "invalid" in unread.locator("h3").inner_text()


def test_long_texts_unfold_and_keep_the_focus(open_page: Open) -> None:
    long = "word " * 1_000 + "END"
    examples = ShownExamples({"classification": (Shown("a", "?", "", {"candidate": Said(long)}),)})
    seen = open_page(render_html(record_of("hold"), examples=examples))
    seen.wake()
    text = seen.page.locator(".answer .text")
    assert "END" not in text.inner_text()
    seen.page.get_by_role("button", name="Show all 5,003 characters").press("Enter")
    expect(text).to_contain_text("END")
    expect(text).to_be_focused()


def test_the_keyboard_reaches_everything(open_page: Open, report: str) -> None:
    seen = open_page(report)
    seen.page.keyboard.press("Tab")
    expect(seen.page.locator(".skip")).to_be_focused()
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("main")).to_be_focused()
    seen.wake()
    seen.page.locator("#examples-evaluator select").focus()
    reached: list[str] = []
    for _ in range(11):
        reached.append(cast(str, seen.page.evaluate("document.activeElement.closest('[id]').id")))
        outlined = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outlined != "none"
        seen.page.keyboard.press("Tab")
    assert reached == [
        "examples-evaluator", "examples-against", "examples-order", "examples-slices", "examples-search",
        *["examples-chips"] * 6,
    ]  # fmt: skip
    seen.chip("lost").focus()
    seen.page.keyboard.press("Space")
    expect(seen.chip("lost")).to_have_attribute("aria-pressed", "true")
    expect(seen.chip("lost")).to_be_focused()


def frame_of(source: str, sandbox: str) -> str:
    return f'<!DOCTYPE html><iframe sandbox="{sandbox}" srcdoc="{escape(source)}" width="1000" height="800"></iframe>'


def test_it_works_in_a_sandboxed_frame(open_page: Open, report: str) -> None:
    seen = open_page(frame_of(report, "allow-scripts"))
    frame = seen.page.frame_locator("iframe")
    frame.locator("#examples").scroll_into_view_if_needed()
    expect(frame.locator("#examples-list > li")).to_have_count(25)
    frame.locator("#examples-chips .lost").click()
    expect(frame.locator("#examples-chips .lost")).to_have_attribute("aria-pressed", "true")
    frame.locator("#examples-search input").fill("crashes")
    expect(frame.locator("#examples-count")).to_contain_text("of 120 examples")
    assert seen.troubles == []
    assert [url for url in seen.requests if url != seen.page.url and url != "about:srcdoc"] == []


def test_without_scripts_the_page_says_so_and_shows_the_rest(open_page: Open, report: str) -> None:
    seen = open_page(report, java_script_enabled=False)
    assert seen.page.locator("#examples-asleep").is_visible()
    assert seen.page.locator("#examples-desk").is_hidden()
    assert seen.page.locator("#rules li").count() > 0
    framed = open_page(frame_of(report, ""))
    asleep = framed.page.frame_locator("iframe").locator("#examples-asleep")
    expect(asleep).to_be_visible()


def test_printing_wakes_the_examples(open_page: Open, report: str) -> None:
    seen = open_page(report)
    seen.page.pdf()
    expect(seen.page.locator("#examples-list > li")).to_have_count(25)
    seen.page.emulate_media(media="print")
    assert seen.page.locator("#examples .desk").is_hidden()
    assert seen.page.locator("nav").is_hidden()
    assert seen.page.locator("#examples-list > li").first.is_visible()


@pytest.mark.parametrize("width", [320, 400, 1200])
def test_nothing_is_wider_than_the_window(open_page: Open, report: str, width: int) -> None:
    seen = open_page(report, viewport={"width": width, "height": 800})
    seen.wake()
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["hold", "block", "unmeasured", "first"])
def test_axe_finds_nothing_serious(open_page: Open, name: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe  # pyright: ignore[reportMissingTypeStubs] # it has no types

    record, table, examples = sample_with_examples(name)
    # axe-core itself is a script, which the page's policy would not let in
    seen = open_page(render_html(record, table, examples=examples), color_scheme=scheme, bypass_csp=True)
    seen.wake()
    seen.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    seen.chip("lost").click()
    violations: list[dict[str, Any]] = cast("Any", Axe()).run(seen.page).response["violations"]
    grave = [one for one in violations if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"]) for one in grave] == []
