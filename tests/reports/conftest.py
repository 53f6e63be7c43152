"""A browser where there is one, and reports opened in it from disk."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opened_report import Open, Seen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

WINDOW: dict[str, Any] = {"viewport": {"width": 1200, "height": 900}}


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    """Chromium of this machine; tests that need one are skipped where there is none."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


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
