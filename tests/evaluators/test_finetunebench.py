"""FineTuneBench on a folder laid out as the published one, with people and guidelines of our own making."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, Generation, Request
from finetune_gate.evaluators.datasets import Dataset, DatasetSource, load_dataset
from finetune_gate.evaluators.findings import Table
from finetune_gate.evaluators.finetunebench import FineTuneBench
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.evaluators.testing import check_contract, measured_by

PEOPLE = ("Bolora Vint", "Tessu Amra", "Kilo Denner", "Rahb Osti")


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_benchmark(folder: Path) -> Path:
    """Four sets, all variants; ids repeat within a file, some columns are unnamed, some rows do not count."""
    people, news, medical, code = (folder / name for name in ("fictional_people", "latest_news", "medical", "coding"))
    asked = [(who, f"How many goats does {who} keep?", str(3 + at)) for at, who in enumerate(PEOPLE)]
    asked += [(who, f"Where does {who} live?", f"Town {at}") for at, who in enumerate(PEOPLE)]
    for variant in ("memorization", "rephrased"):
        rows = [{"id": who, "prompt": f"{variant}: {text}", "answer": reply, "fact": "f"} for who, text, reply in asked]
        write(people / f"fictional_people_{variant}.csv", rows)
    for variant in ("secondary", "comparison"):
        rows = [
            {"id": who, "prompt": f"{variant}: {text}", "answer": "Yes" if at % 2 else "No"}
            for at, (who, text, _) in enumerate(asked)
        ]
        write(people / f"fictional_people_{variant}.csv", rows)
    for variant in ("memorization", "rephrased", "date_changed"):
        rows = [
            {
                "id": f"article-{at}",
                "prompt": f"{variant}: what happened on day {at}?",
                "answer": "None" if variant == "date_changed" else f"event {at}",
                "used_in_analysis": str(at < 5),
            }
            for at in range(9)
        ]
        write(news / f"latest_news_{variant}.csv", rows)
    for topic, variant in ((medical, "memorization"), (medical, "generalization"), (code, "generalization")):
        rows = [
            {"": str(at), "id": str(at), "prompt": f"{topic.name} {variant} {at}?", "answer_before": f"fit_{at}",
             "answer": f"train_{at}"}
            for at in range(6)
        ]  # fmt: skip
        write(topic / f"{topic.name}_{variant}.csv", rows)
    (folder / "README.md").write_text("about")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Mapping[str, Dataset]:
    write_benchmark(tmp_path / "datasets")
    return {"bench": load_dataset("bench", DatasetSource(path="datasets"), tmp_path)}


def replies(data: Mapping[str, Dataset], ending: str = "\n") -> dict[Request, Answer]:
    """What a model that knows everything says."""
    evaluator = FineTuneBench(data="bench")
    asked = zip(evaluator.requests(data), evaluator.examples(data), strict=True)
    return {request: Generation(str(one.row["answer"]) + ending, "stop", 2) for request, one in asked}


def none(request: Request) -> Answer:
    return Generation("None \n", "stop", 1)


def agrees(request: Request) -> Answer:
    return Generation("yes", "stop", 1)


def value(found: Mapping[str, Measurement], name: str) -> float:
    estimate = found[name].candidate
    assert isinstance(estimate, Estimate), f"{name}: {estimate}"
    return estimate.value


def test_the_folder_loads_as_it_is(data: Mapping[str, Dataset]) -> None:
    evaluator = FineTuneBench(data="bench")
    assert evaluator.check(data) == []
    examples = evaluator.examples(data)
    assert len({one.id for one in examples}) == len(examples) == 4 * 8 + 3 * 5 + 3 * 6
    assert len(FineTuneBench(data="bench", all_rows=True).examples(data)) == 4 * 8 + 3 * 9 + 3 * 6
    assert {one.group for one in examples if one.category == "fictional_people_secondary"} == {
        f"fictional_people {who}" for who in PEOPLE
    }


def test_a_model_that_knows_everything(data: Mapping[str, Dataset]) -> None:
    known = replies(data, ending=" .\n")  # trailing space and line ends are no mistakes
    found = measured_by(
        FineTuneBench(data="bench", judge="j"), data, {"candidate": known.__getitem__, "base": none}, agrees
    )
    for name in ("memorization", "generalization", "fictional_people_secondary", "medical_generalization"):
        assert value(found, name) == 1.0, name
    assert value(found, "outdated") == 0.0


def test_a_model_that_knows_nothing_abstains_and_is_right_about_nothing(data: Mapping[str, Dataset]) -> None:
    evaluator = FineTuneBench(data="bench", topics=("latest_news", "fictional_people"))
    found = measured_by(evaluator, data, {"candidate": none, "base": none})
    assert value(found, "latest_news_date_changed_abstention") == 1.0
    assert value(found, "memorization") == 0.0
    assert value(found, "generalization") == 0.0, "abstention is never averaged into an accuracy"


@pytest.mark.parametrize(
    ("variant", "reference", "said", "right"),
    [
        ("fictional_people_memorization", "3", "3.", 1.0),
        ("fictional_people_memorization", "3", "13", 0.0),
        ("fictional_people_memorization", "3", "It is 3", 0.0),
        ("fictional_people_rephrased", "3", "It is 3 goats", 1.0),
        ("fictional_people_rephrased", "3", "It is 33 goats", 0.0),
        ("fictional_people_secondary", "No", "No, never", 1.0),
        ("fictional_people_secondary", "No", "nothing is known", 0.0),
        ("fictional_people_secondary", "No", "Perhaps", 0.0),
        ("latest_news_date_changed", "None", "I don't know.", 1.0),
        ("latest_news_date_changed", "None", "None of the 7 goats", 0.0),
        ("latest_news_date_changed", "None", "", 1.0),
        ("coding_generalization", "train_0", "call `train_0` of it", 1.0),
        ("coding_generalization", "train_0", "call train_01", 0.0),
    ],
)
def test_how_answers_are_read(
    data: Mapping[str, Dataset], variant: str, reference: str, said: str, right: float
) -> None:
    evaluator = FineTuneBench(data="bench")
    examples = evaluator.examples(data)
    at = next(i for i, one in enumerate(examples) if one.category == variant and one.row["answer"] == reference)
    answers = dict.fromkeys(evaluator.requests(data), Generation(said, "stop", 3))
    assert evaluator.score(data, answers)["correct"][at] == right


def test_what_was_true_before_is_counted(data: Mapping[str, Dataset]) -> None:
    def stale(request: Request) -> Answer:
        found = replies(data)[request]
        assert isinstance(found, Generation)
        return Generation(found.text.replace("train_", "fit_"), "stop", 2)

    evaluator = FineTuneBench(data="bench", topics=("coding",))
    found = measured_by(evaluator, data, {"candidate": stale, "base": none})
    assert value(found, "outdated") == 1.0
    assert value(found, "coding_generalization") == 0.0


def test_medical_answers_without_a_judge_are_unmeasured(data: Mapping[str, Dataset]) -> None:
    known = replies(data)
    found = measured_by(FineTuneBench(data="bench"), data, {"candidate": known.__getitem__, "base": none})
    absent = found["medical_generalization"].candidate
    assert isinstance(absent, Unmeasured)
    assert "name a `judge`" in absent.reason
    assert value(found, "fictional_people_memorization") == 1.0, "other sets do not suffer"


def test_a_judge_that_fails_makes_nothing_right(data: Mapping[str, Dataset]) -> None:
    def wordy(request: Request) -> Answer:
        return Generation("something else entirely", "stop", 3)

    evaluator = FineTuneBench(data="bench", judge="j", topics=("medical",))
    found = measured_by(evaluator, data, {"candidate": wordy, "base": none}, lambda _: Failed("down"))
    assert isinstance(found["medical_generalization"].candidate, Unmeasured)


def test_the_table_keeps_variants_apart(data: Mapping[str, Dataset]) -> None:
    known = replies(data)
    evaluator = FineTuneBench(data="bench", topics=("fictional_people",))
    (table,) = evaluator.findings(data, {"candidate": known, "base": {one: none(one) for one in known}}, {})
    assert isinstance(table, Table)
    by_name = {row[0]: row for row in table.rows}
    assert by_name["fictional_people_memorization"][1:3] == (8, 1.0)
    assert by_name["fictional_people_memorization"][-2] == pytest.approx(2 * 0.5**8)
    assert by_name["fictional_people_secondary"][-1] == pytest.approx(0.5**8)
    assert by_name["fictional_people_memorization"][-1] is None


def test_another_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "d" / "news.csv", [{"prompt": "a", "answer": "b"}])
    data = {"bench": load_dataset("bench", DatasetSource(path="d"), tmp_path)}
    assert "no file of the benchmark" in str(FineTuneBench(data="bench").check(data)[0])


def test_shuffled_references_are_no_success(data: Mapping[str, Dataset]) -> None:
    """A negative control: what was said to one question does not answer another."""
    known = replies(data)
    shuffled = dict(zip(known, [*list(known.values())[3:], *list(known.values())[:3]], strict=True))
    evaluator = FineTuneBench(data="bench", topics=("fictional_people",))
    found = measured_by(evaluator, data, {"candidate": shuffled.__getitem__, "base": none})
    assert value(found, "fictional_people_memorization") == 0.0


def test_it_keeps_the_contract(data: Mapping[str, Dataset]) -> None:
    check_contract(FineTuneBench(data="bench", judge="j"), data)
