"""Every page is in the navigation of the site, and every link leads somewhere, on GitHub and in the site."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fenced_blocks import ROOT
from yaml_fragments import read_all


@pytest.fixture(scope="module")
def make_site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_site", ROOT / "docs" / "make_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_navigation_once(make_site: ModuleType) -> None:
    settings: Any = read_all((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    shown = [page for group in settings["nav"] for page in named(group)]
    assert sorted(shown) == sorted({*make_site.site_pages().values(), make_site.EXAMPLES})


def named(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [
        page
        for below in entry.values()
        for one in (below if isinstance(below, list) else [below])
        for page in named(one)
    ]


def test_links_lead_somewhere(make_site: ModuleType, tmp_path: Path) -> None:
    make_site.assemble(tmp_path / "site")
    index = (tmp_path / "site" / "index.md").read_text(encoding="utf-8")
    assert "](gate-file.md)" in index
    assert "](docs/" not in index
    own = (tmp_path / "site" / "evaluators" / "own.md").read_text(encoding="utf-8")
    assert "](../examples.md#own_evaluator)" in own


def test_a_dead_link_is_an_error(make_site: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "examples").mkdir()
    (tmp_path / "README.md").write_text("[there](docs/a.md#b), [not](docs/none.md), `[code](docs/no.md)`\n")
    (tmp_path / "docs" / "a.md").write_text("# A\n\n## B\n\n[back](../README.md)\n")
    monkeypatch.setattr(make_site, "ROOT", tmp_path)
    with pytest.raises(make_site.DeadLinks, match=r"README\.md: docs/none\.md: no such file") as found:
        make_site.assemble(tmp_path / "site")
    assert len(str(found.value).splitlines()) == 1
    assert (tmp_path / "site" / "a.md").read_text().endswith("[back](index.md)\n")
