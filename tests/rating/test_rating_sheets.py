"""Sheets that go out and come back: what is written, what is read, and every fault told with its place."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sheets import BETRAYING, CRITERIA, desk_in, sheet_of

from finetune_gate.evaluators.people.sheet import Item, Sheet
from finetune_gate.gate.rating import Said, accept, by_rater, read_csv, read_json, said_of, write_csv, write_json
from finetune_gate.gate.rating.csv_sheet import harmless, unharmed
from finetune_gate.gate.rating.legible import legible

texts = st.text(st.characters(codec="utf-8"), max_size=60)
any_texts = st.text(max_size=60)  # lone surrogates included: models can write them
scores = st.dictionaries(st.sampled_from(CRITERIA), st.integers(1, 5))


@st.composite
def said_about(draw: st.DrawFn, name: str) -> Said:
    choice = draw(st.sampled_from(["left", "tie", "right", None]))
    return Said(name, choice, draw(scores), draw(scores), draw(texts).strip()[:200])


def filled_csv(sheet: Sheet, said: list[Said], delimiter: str = ",", encoding: str = "utf-8-sig") -> bytes:
    """What a spreadsheet saves: the sheet with cells filled in, in another order."""
    rows = list(csv.DictReader(io.StringIO(write_csv(sheet).decode("utf-8-sig"), newline="")))
    by_id = {one.id: one for one in said}
    for row in rows:
        one = by_id.get(row["id"])
        if one is not None:
            row |= {"choice": one.choice or "", "notes": harmless(one.notes)}
            row |= {f"left {name}": f"{score}.0" for name, score in one.left_scores.items()}
            row |= {f"right {name}": str(score) for name, score in one.right_scores.items()}
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(reversed(rows))
    return file.getvalue().encode(encoding)


@given(texts)
@example("=1+1")
@example(" \t=cmd|' /C calc'!A0")
@example("'=already")
@example("\ufeff=1")
def test_neutralising_can_be_undone_and_leaves_no_formula(text: str) -> None:
    assert unharmed(harmless(text)) == text
    assert harmless(text).lstrip(" \n\v\f\ufeff\u00a0")[:1] not in {"=", "+", "-", "@", "\t", "\r"}


@given(st.data(), st.sampled_from([",", ";", "\t"]), st.sampled_from(["utf-8-sig", "utf-8", "utf-16"]))
def test_csv_round_trip_by_id(data: st.DataObject, delimiter: str, encoding: str) -> None:
    sheet = sheet_of()
    said = [data.draw(said_about(item.id)) for item in sheet.items]
    filled = read_csv(filled_csv(sheet, said, delimiter, encoding), "ana.csv")
    assert filled.problems == ()
    assert {row.rater for row in filled.rows} == {"ana"}
    accepted = accept(filled.rows, sheet)
    assert accepted.problems == ()
    assert {one.id: one for one in accepted.said} == {one.id: one for one in said if not one.nothing}
    assert accepted.empty == sum(one.nothing for one in said)


@given(st.data())
def test_json_round_trip_by_id(data: st.DataObject) -> None:
    sheet = sheet_of()
    said = {item.id: data.draw(said_about(item.id)) for item in sheet.items}
    top = json.loads(write_json(sheet))
    for item in top["items"]:
        one = said[item["id"]]
        item |= {"choice": one.choice, "left_scores": one.left_scores, "right_scores": one.right_scores}
        item["notes"] = one.notes
    filled = read_json(json.dumps(top).encode(), "ana.json")
    accepted = accept(filled.rows, sheet)
    assert (filled.problems, accepted.problems) == ((), ())
    assert {one.id: one for one in accepted.said} == {name: one for name, one in said.items() if not one.nothing}


@given(any_texts, any_texts, any_texts)
def test_any_answers_can_be_written(prompt: str, left: str, right: str) -> None:
    sheet = Sheet("t", "ana", CRITERIA, "", (Item("a1", "17", prompt, left, right),))
    assert [row.fields["id"] for row in read_csv(write_csv(sheet), "f").rows] == ["a1"]
    for line in csv.reader(io.StringIO(write_csv(sheet).decode("utf-8-sig"), newline="")):
        assert all(cell[:1] not in tuple("=+-@\t\r") or not cell for cell in line)
    (item,) = json.loads(write_json(sheet))["items"]
    assert (item["left"], item["right"]) == (legible(left), legible(right))


def test_sheets_tell_nothing_of_the_sides() -> None:
    for content in (write_csv(sheet_of()), write_json(sheet_of())):
        assert not [word for word in (*BETRAYING, "row-1") if word.encode() in content]
    assert [item.example for item in sheet_of().items] != sorted(item.example for item in sheet_of().items)


def test_text_of_the_sheet_is_never_read_back() -> None:
    rows = list(csv.reader(io.StringIO(write_csv(sheet_of()).decode("utf-8-sig"), newline="")))
    for row in rows[1:]:
        row[rows[0].index("left")] = "edited"
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    (first, *_) = read_csv(file.getvalue().encode(), "f").rows
    assert set(first.fields) == {"id", "choice", "left_scores", "right_scores", "notes"}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"choice": "both"}, "f line 2 choice: 'both'"),
        ({"choice": 3}, "f line 2 choice: 3"),
        ({"left_scores": {"accuracy": 6}}, "f line 2 left accuracy: 6"),
        ({"left_scores": {"accuracy": 0}}, "f line 2 left accuracy: 0"),
        ({"left_scores": {"accuracy": "3.5"}}, "f line 2 left accuracy: '3.5'"),
        ({"left_scores": {"accuracy": True}}, "f line 2 left accuracy: True"),
        ({"left_scores": {"accuracy": float("nan")}}, "f line 2 left accuracy: nan"),
        ({"right_scores": {"acuracy": 4}}, "f line 2 right acuracy: no such criterion"),
        ({"right_scores": [4]}, "f line 2 right_scores: [4]"),
        ({"notes": 7}, "f line 2 notes: 7"),
        ({"notes": "n" * 5000}, "f line 2 notes: 5,000 characters"),
    ],
)
def test_a_wrong_part_is_told_and_the_others_stand(fields: dict[str, object], problem: str) -> None:
    good = {"id": "a1", "choice": "tie", "left_scores": {"plain_words": "4,0"}, "right_scores": {"accuracy": 2.0}}
    said, problems = said_of({**good, **fields}, CRITERIA, "f line 2")
    assert [str(one).split("\n")[0] for one in problems] == [problem]
    assert problems[0].expected
    expected = {"choice": "tie", "left_scores": {"plain_words": 4}, "right_scores": {"accuracy": 2}}
    assert all(getattr(said, name) == value for name, value in expected.items() if name not in fields)


HEADER = "id,rater,choice,left accuracy,right accuracy,notes\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "f.csv line 1: no column 'id' among nothing"),
        (b"name,choice\nx,left\n", "f.csv line 1: no column 'id' among name, choice"),
        (b"id,choice,choice\n", "f.csv line 1: column 'choice' occurs twice"),
        (HEADER.encode() + b"A,ana,left,1,2,caf\xe9\n", "f.csv line 2: bytes that are not UTF-8"),
        (HEADER.encode() + b"A,ana,left,1,2,x,more\n", "f.csv line 2: 7 cells"),
    ],
)
def test_files_that_are_no_sheets(content: bytes, problem: str) -> None:
    found = read_csv(content, "f.csv")
    assert [str(one).split("\n")[0] for one in found.problems] == [problem]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "f.json line 1: not JSON"),
        (b"\xff", "f.json: not JSON"),
        (b"[1]", "f.json: a JSON list"),
        (b'{"schema": "other", "items": []}', "f.json: schema='other'"),
        (b'{"schema": "finetune-gate/rating-sheet/v1", "items": {}}', "f.json: schema="),
        (b'{"schema": "finetune-gate/rating-sheet/v1", "items": [7]}', "f.json item 1: a JSON int"),
        (b"[" * 100_000, "f.json: not JSON"),
    ],
)
def test_json_that_is_no_sheet(content: bytes, problem: str) -> None:
    (found,) = read_json(content, "f.json").problems
    assert str(found).startswith(problem)


def test_ids_are_held_against_the_sheet_and_the_good_is_kept(tmp_path: Path) -> None:
    one, two, three, *_ = (item.id for item in sheet_of().items)
    lines = [
        f"{one},ana,left,5,2,",
        f'{two},ana,tie,6,2,"two\nlines"',
        f"{three},ana,left,1,2,",
        "nobody,ana,right,1,1,",
        "else,ana,,,,",
        f"{three},ana,right,1,2,",
    ]
    filled = read_csv((HEADER + "\n".join(lines)).encode(), "f.csv")
    accepted = accept(filled.rows, sheet_of())
    assert {said.id: said.choice for said in accepted.said} == {one: "left", two: "tie"}
    assert [problem.where for problem in accepted.problems] == [
        "f.csv line 3 left accuracy",
        "f.csv line 6 id 'nobody'",
        f"f.csv line 8 id {three}",
    ]
    assert all(problem.way_out for problem in accepted.problems[1:])
    desk = desk_in(tmp_path)
    desk.keep(accepted.said)
    assert str(desk.count()) == "0 of 4 rated, 2 in part"


def test_spreadsheets_may_name_their_separator_first() -> None:
    filled = read_csv(b"\xef\xbb\xbfsep=;\r\nid;choice\r\nA;left\r\n", "f")
    assert [(row.place, row.fields["choice"]) for row in filled.rows] == [("f line 3", "left")]


def test_rows_belong_to_raters() -> None:
    rows = read_csv(b"id,rater\nA,ana\nB,bo\nC,\n", "f.csv").rows
    found, problems = by_rater(rows, None)
    assert ({name: len(some) for name, some in found.items()}, len(problems)) == ({"ana": 1, "bo": 1}, 1)
    found, problems = by_rater(rows, "ana")
    assert ({name: len(some) for name, some in found.items()}, len(problems)) == ({"ana": 2}, 1)
    assert "bo" in str(problems[0])


def test_legible_spells_out_what_hides_and_keeps_what_writes() -> None:
    assert legible("a\u202eb\x1b\ud800") == "a\\u202eb\\u001b\\ud800"
    plain = "שלום می\u200cخواهم 👩\u200d🔬\tx\n"
    assert legible(plain) == plain
