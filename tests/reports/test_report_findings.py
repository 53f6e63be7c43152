"""What evaluators found, on the page and on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_records import HOSTILE, sample
from test_report_html import Page, assert_inert

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.evaluators.findings import MAX_ROWS, MAX_TEXT, Advice, Findings, HeatMap, HeatRow, Table
from finetune_gate.gate.reports import render_html
from finetune_gate.gate.run.finding_files import findings_digest, read_findings, write_findings

FOUND = Findings(
    {
        "holdout": (
            Advice("Remove the leaked rows and gate again."),
            Table.of("Leaked examples", "In both files.", ("unseen", "seen", "degree"), [("7", "12", 1)]),
        ),
        "attribution": (HeatMap("Weights", "", (HeatRow("1, candidate", ("re", "fund"), (1.0, -0.5)),), 3),),
    }
)


def page_of(findings: Findings) -> Page:
    record, scores = sample("hold")
    return Page(render_html(record, scores, findings))


def test_the_page_shows_tables_maps_and_advice() -> None:
    page = page_of(FOUND)
    assert_inert(page)
    for text in ("Found by holdout", "Leaked examples", "Remove the leaked rows", "3 more examples are not shown"):
        assert text in page.text
    shades = [attributes.get("class") for tag, attributes in page.elements if tag == "span"]
    assert "p5" in shades
    assert "n2" in shades


def test_hostile_cells_and_tokens_stay_text() -> None:
    table = Table.of(HOSTILE, HOSTILE, (HOSTILE,), [(HOSTILE,)])
    heat = HeatMap(HOSTILE, HOSTILE, (HeatRow(HOSTILE, (HOSTILE, "\x1b[31m"), (0.0, 0.0)),))
    page = page_of(Findings({HOSTILE: (table, heat, Advice(HOSTILE))}))
    assert_inert(page)
    assert "\x1b" not in page.text


def test_tables_are_bounded_and_say_so() -> None:
    table = Table.of("Many", "note", ("text",), [("x" * (2 * MAX_TEXT),)] * (MAX_ROWS + 5))
    assert len(table.rows) == MAX_ROWS
    assert table.left_out == 5
    assert len(str(table.rows[0][0])) == MAX_TEXT
    assert "5 more rows are not shown" in page_of(Findings({"a": (table,)})).text


def test_findings_survive_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    write_findings(FOUND, path)
    assert read_findings(path) == FOUND
    assert findings_digest(read_findings(path)) == findings_digest(FOUND)


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    write_findings(Findings({"a": (Advice("bad \ud800 text"),)}), path)
    assert read_findings(path) == Findings({"a": (Advice("bad ? text"),)})


@pytest.mark.parametrize("content", ["", "[]", '{"by_evaluator": {"a": [{"kind": "other"}]}}', "null"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "findings.json"
    path.write_text(content)
    with pytest.raises(EvaluationError):
        read_findings(path)
