"""A report that a browser has opened, and what happened to it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Locator, Page


@dataclass
class Seen:
    """A page of the browser, with everything that it asked for and everything that went wrong in it."""

    page: Page
    requests: list[str] = field(default_factory=list[str])
    troubles: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        def dismiss(dialog: Dialog) -> None:
            self.troubles.append(dialog.message)
            dialog.dismiss()

        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", lambda line: self.troubles.append(line.text))
        self.page.on("dialog", dismiss)
        self.page.on("request", lambda asked: self.requests.append(asked.url))

    def wake(self) -> None:
        self.page.locator("#examples").scroll_into_view_if_needed()
        self.page.wait_for_selector("#examples-list > li")

    def chip(self, kind: str) -> Locator:
        return self.page.locator(f"#examples-chips .{kind}")

    def choose(self, name: str, label: str) -> None:
        self.page.locator(f"#examples-{name} select").select_option(label=label)

    def search(self, text: str) -> None:
        self.page.locator("#examples-search input").fill(text)

    def ids(self) -> list[str]:
        heads = self.page.locator("#examples-list h3").all_inner_texts()
        return [head.split()[0] for head in heads]

    def counts(self, text: str) -> None:
        from playwright.sync_api import expect

        expect(self.page.locator("#examples-count")).to_have_text(text)


Open = Callable[..., Seen]
"""``open_page(source, **settings)``: the settings are those of a browser context."""
