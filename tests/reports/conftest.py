"""A browser where there is one, and reports opened in it from disk."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opened_report import Open, Seen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

WINDOW: dict[str, Any] = {"viewport": {"width": 1200, "height": 900}}


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Generator[Open]:
    contexts: list[BrowserContext] = []

    def opened(source: str, **settings: Any) -> Seen:
        path = tmp_path / "report.html"
        path.write_text(source, encoding="utf-8")
        context = browser.new_context(**WINDOW | settings)
        contexts.append(context)
        seen = Seen(context.new_page())
        seen.page.goto(path.as_uri())
        return seen

    yield opened
    for context in contexts:
        context.close()
