"""The rating page in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error, expect
from serving import Running, running
from sheets import BETRAYING, CRITERIA, HOSTILE, desk_in, sheet_of

from finetune_gate.evaluators.people.sheet import Pair, make_sheet
from finetune_gate.flows.rating import rating_page
from finetune_gate.flows.rating.page import SCRIPTS, packaged
from finetune_gate.gate.rating import Desk, accept, read_json

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
EVERY = {"accuracy": 4, "plain_words": 2}


class Tab:
    """A page of the browser, with everything that it received and everything that went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.traffic: list[str] = []
        self.troubles: list[str] = []
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda line: self.troubles.append(line.text) if line.type == "error" else None)
        page.on("request", lambda asked: self.traffic.append(f"{asked.method} {asked.url}"))
        page.on("response", lambda answer: self.traffic.append(f"{answer.url} {answer.all_headers()} {answer.text()}"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, name: str) -> str:
        return self.page.inner_text(f"#{name}")

    def sees(self, name: str, text: str) -> None:
        expect(self.page.locator(f"#{name}")).to_contain_text(text, timeout=15_000)


Open = Callable[[str], Tab]


@pytest.fixture
def open_tab(browser: Browser) -> Generator[Open]:
    context = browser.new_context(accept_downloads=True, viewport={"width": 1200, "height": 900})

    def opened(address: str) -> Tab:
        tab = Tab(context.new_page())
        tab.page.goto(address)
        tab.page.wait_for_selector("#opening", state="hidden")
        return tab

    yield opened
    context.close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_in(tmp_path)


@contextmanager
def rating(desk: Desk, open_tab: Open) -> Generator[tuple[Tab, Running]]:
    with running(desk) as server:
        tab = open_tab(server.address)
        yield tab, server
        tab.page.close()


def test_with_the_keyboard_alone(desk: Desk, open_tab: Open) -> None:
    with rating(desk, open_tab) as (tab, _):
        assert tab.page.is_visible("#told")
        tab.press("Enter")
        tab.press("ArrowLeft", "4", "2", "5", "1", "Enter")
        tab.sees("pair", "Pair 2 of 4")
        tab.press("2", "3", "3", "Enter")
        tab.sees("hint", "plain words of the left answer")
        tab.press("Enter")
        tab.sees("pair", "Pair 3 of 4")
        tab.press("3", "4", "4", "4", "ArrowRight", "ArrowUp", "ArrowLeft", "n")
        tab.page.keyboard.type("left it out? 1")
        tab.press("Control+Enter")
        tab.press("s")
        tab.sees("hint", "last pair")
        tab.press("?")
        assert tab.page.is_visible("#keys")
        tab.press("Escape", "p", "ArrowRight", "p", "Enter", "Enter", "Enter")
        tab.sees("pair", "Pair 4 of 4")
        tab.press("1", "1", "1", "5", "5", "Enter")
        tab.sees("thanks", "All 4 are rated")
        tab.sees("next", "1 of them in part")
        tab.sees("saving", "Saved")
        assert tab.troubles == []
    said = [desk.said()[item.id] for item in desk.sheet.items]
    assert [one.choice for one in said] == ["left", "tie", "right", "left"]
    assert (said[0].left_scores, said[0].right_scores) == (
        {"accuracy": 4, "plain_words": 5},
        {"accuracy": 2, "plain_words": 1},
    )
    assert said[1].left_scores == {"accuracy": 3}
    assert said[2].left_scores == {"accuracy": 4, "plain_words": 3}
    assert said[2].right_scores == {"accuracy": 4, "plain_words": 1}
    assert said[2].notes == "left it out? 1"


def test_with_the_mouse_alone(desk: Desk, open_tab: Open) -> None:
    with rating(desk, open_tab) as (tab, _):
        tab.page.click("#told [data-close]")
        for _ in desk.sheet.items:
            tab.page.get_by_label("Right is better").click()
            for name, score in EVERY.items():
                for side in ("left", "right"):
                    tab.page.locator(f"input[name='{side} {name}'][value='{score}']").click()
            tab.page.click("#save")
        tab.sees("thanks", "All 4 are rated")
        tab.page.click("#open-pairs")
        assert tab.page.locator("#list .rated").count() == 4
        tab.page.click("#list button >> nth=1")
        tab.sees("pair", "Pair 2 of 4")
        tab.page.get_by_label("Left is better").click()
        tab.page.click("#previous")
        tab.sees("saving", "Saved")
        assert tab.troubles == []
    assert str(desk.count()) == "4 of 4 rated"
    assert [desk.said()[item.id].choice for item in desk.sheet.items] == ["right", "left", "right", "right"]


def test_reload_and_restart_go_on_at_the_first_pair_without_a_rating(desk: Desk, open_tab: Open) -> None:
    with rating(desk, open_tab) as (tab, server):
        tab.press("Enter", "1", "5", "4", "3", "2", "Enter")
        tab.sees("saving", "Saved")
        tab.page.reload()
        tab.sees("pair", "Pair 2 of 4")
        assert not tab.page.is_visible("#told")
        tab.press("p")
        assert tab.page.locator("#rating input:checked").count() == 5
        assert tab.text("save") == "Next"
        port = server.port
    with running(desk, port, key="n" * 32) as again:
        tab = open_tab(again.address)
        tab.sees("pair", "Pair 2 of 4")
        tab.sees("count", "1 of 4 rated")


def test_what_cannot_be_saved_is_said_kept_and_sent_again(desk: Desk, open_tab: Open) -> None:
    with running(desk) as server:
        tab = open_tab(server.address)
        port = server.port
    tab.press("Enter", "1", "5", "4", "3", "2", "Enter")
    tab.sees("pair", "Pair 2 of 4")
    tab.sees("trouble", "1 not saved yet: the program that serves this page does not answer.")
    asked: list[str] = []
    tab.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    tab.page.evaluate("() => { setTimeout(() => location.reload()) }")
    with running(desk, port, key="another") as again:
        tab.sees("trouble", "Open that address here")
        tab.page.evaluate("address => { location.href = address }", again.address)
        tab.page.wait_for_selector("#alert", state="hidden")
        tab.sees("saving", "Saved")
    assert asked == ["beforeunload"]
    assert str(desk.count()) == "1 of 4 rated"


def test_a_tab_that_died_before_it_could_save_loses_nothing(desk: Desk, open_tab: Open) -> None:
    with running(desk) as server:
        tab = open_tab(server.address)
        port = server.port
    tab.press("Enter", "3", "1", "1", "1", "1", "Enter")
    tab.sees("trouble", "not saved yet")
    tab.page.close()
    with running(desk, port) as again:
        other = open_tab(again.address)
        other.sees("saving", "Saved")
        other.sees("pair", "Pair 2 of 4")
    assert str(desk.count()) == "1 of 4 rated"


def test_hostile_answers_are_text(desk: Desk, open_tab: Open, tmp_path: Path) -> None:
    file = tmp_path / "sheet.html"
    file.write_text(rating_page(desk.sheet), encoding="utf-8")
    with running(desk) as server:
        for address in (server.address, file.as_uri()):
            tab = open_tab(address)
            tab.press("Enter")
            while "<script>" not in tab.text("left") + tab.text("right"):
                tab.press("1", "Enter", "Enter")
            shown = {tab.text("left"), tab.text("right")}
            assert shown == {HOSTILE.replace("\u202e", "\\u202e"), "=1+1"}
            assert tab.text("prompt") == "<b>Bold?</b>"
            assert tab.page.evaluate("typeof window.woken") == "undefined"
            assert tab.page.locator("#work img, #work a, #work b, #work script").count() == 0
            assert tab.page.locator("#told i").count() == 0
            assert tab.troubles == []
            tab.page.close()


def test_the_policy_holds_even_if_a_script_got_in(desk: Desk, open_tab: Open) -> None:
    with rating(desk, open_tab) as (tab, _):
        assert (
            tab.page.evaluate(
                """() => { try { document.body.innerHTML = "<img src=x onerror='window.woken = 1'>"; return "let in" }
                       catch (error) { return error.name } }"""
            )
            == "TypeError"
        )
        script = (
            "const made = document.createElement('script'); made.text = 'window.woken = 1'; document.body.append(made)"
        )
        with pytest.raises(Error, match="TrustedScript"):
            tab.page.evaluate(f"() => {{ {script} }}")
        assert tab.page.evaluate("typeof window.woken") == "undefined"
        assert tab.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'out', () => 'in')") == "in"


def test_nothing_that_arrives_tells_of_the_sides(desk: Desk, open_tab: Open) -> None:
    with rating(desk, open_tab) as (tab, server):
        tab.press("Enter", "1", "5", "4", "3", "2", "Enter", "s", "p")
        tab.page.click("#open-pairs")
        tab.sees("saving", "Saved")
        seen = "\n".join((*tab.traffic, tab.page.content(), tab.page.title(), tab.page.url))
    assert "POST" in seen
    for own in ("page.css", *SCRIPTS):
        seen = seen.replace(packaged(own), "")
    assert not [word for word in (*BETRAYING, "row-1", "example") if word in seen]
    assert not [line for line in tab.traffic if server.origin not in line.split(" ", 2)[0] + line.split(" ", 2)[1]]
    assert not [line for line in tab.traffic if f"{server.key}" in line.split(" ", 2)[1]]


def test_swapped_models_give_the_same_page() -> None:
    pairs = [Pair(str(i), f"Q{i}", f"one {i}", f"other {i}") for i in range(20)]
    swapped = [Pair(pair.example, pair.prompt, pair.second, pair.first) for pair in pairs]
    made, again = (rating_page(make_sheet("t", some, "ana", CRITERIA)) for some in (pairs, swapped))
    assert made == again


def test_a_sheet_that_is_a_file(desk: Desk, open_tab: Open, tmp_path: Path) -> None:
    file = tmp_path / "sheet.html"
    file.write_text(rating_page(desk.sheet), encoding="utf-8")
    tab = open_tab(file.as_uri())
    tab.press("Enter", "1", "5", "4", "3", "2", "Enter", "3", "Enter", "Enter")
    tab.page.reload()
    tab.sees("pair", "Pair 3 of 4")
    tab.sees("count", "2 of 4 rated")
    with tab.page.expect_download() as download:
        tab.page.click("#download")
    assert download.value.suggested_filename == "ratings-ana.json"
    content = download.value.path().read_bytes()
    assert not [word for word in BETRAYING if word.encode() in content]
    filled = read_json(content, "f")
    accepted = accept(filled.rows, desk.sheet)
    assert (filled.problems, accepted.problems, len(accepted.said)) == ((), (), 2)
    desk.keep(accepted.said)
    assert str(desk.count()) == "1 of 4 rated, 1 in part"
    assert tab.troubles == []
    assert [line for line in tab.traffic if "http" in line.split(" ", 2)[1]] == []
    assert "http" not in json.dumps(json.loads(content))


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    file = tmp_path / "sheet.html"
    file.write_text(rating_page(sheet_of()), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.goto(file.as_uri())
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    names = [group.get_attribute("aria-label") or group.inner_text() for group in page.query_selector_all("button")]
    assert all(name.strip() for name in names)
    tree = page.locator("#rating").aria_snapshot()
    assert 'group "accuracy of the left answer"' in tree
    assert 'radio "5, best"' in tree
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.evaluate(CONTRAST) >= 4.5
    page.keyboard.press("Tab")
    assert (
        page.evaluate("getComputedStyle(document.activeElement).outlineStyle + document.activeElement.tagName")
        != "noneBODY"
    )
    page.close()


CONTRAST = """() => {
  const light = (color) => {
    const parts = color.match(/[\\d.]+/g).slice(0, 3).map((one) => one / 255)
    const [r, g, b] = parts.map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ratio = (element, behind) => {
    const [a, b] = [light(getComputedStyle(element).color), light(getComputedStyle(behind).backgroundColor)]
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
  }
  const at = (name) => document.querySelector(name)
  const inks = [at("#left"), at("#left-title")].map((element) => ratio(element, document.body))
  return Math.min(...inks, ratio(at("#save"), at("#save")))
}"""
