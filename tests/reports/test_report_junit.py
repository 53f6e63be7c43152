"""JUnit XML: read by a parser and by a library of CI tools, and held against the schema. ``golden.py`` says how golden
texts are made anew.
"""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

import pytest
from golden import assert_golden
from sample_records import HOSTILE, STORIES, hostile_record, record_of

from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.reports import render_junit
from finetune_gate.gate.reports.inert import inert_text

RECORDS = [*map(record_of, STORIES), hostile_record()]
NAMES = [*STORIES, "hostile"]

# what junit-10.xsd allows: attributes, those that must be there, and what may stand inside
SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp"},
        {"name", "tests", "failures", "errors"},
        {"properties", "testcase"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": ({"name", "time", "classname"}, {"name"}, {"skipped", "failure", "system-out"}),
    "failure": ({"type", "message"}, set(), set()),
    "skipped": ({"type", "message"}, set(), set()),
    "system-out": (set(), set(), set()),
}


def parsed(record: DecisionRecord) -> ElementTree.Element:
    return ElementTree.fromstring(render_junit(record).encode())


def became(case: ElementTree.Element) -> str:
    """``failure:inconclusive``, ``skipped:waived``, ``passed``."""
    return next((f"{one.tag}:{one.get('type')}" for one in case if one.tag != "system-out"), "passed")


@pytest.mark.parametrize("name", STORIES)
def test_golden(name: str) -> None:
    assert_golden(f"{name}.xml", render_junit(record_of(name)))


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_the_schema_allows_all_of_it(record: DecisionRecord) -> None:
    for element in parsed(record).iter():
        allowed, needed, inside = SCHEMA[element.tag]
        assert needed <= set(element.attrib) <= allowed
        assert {child.tag for child in element} <= inside


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_there_is_a_failure_exactly_where_the_gate_does_not_promote(record: DecisionRecord) -> None:
    root = parsed(record)
    cases = list(root.iter("testcase"))
    outcomes = Counter(became(case).partition(":")[0] for case in cases)
    for counted in (root, root[0]):
        assert counted.get("tests") == str(len(cases))
        assert counted.get("failures") == str(outcomes["failure"])
        assert counted.get("errors") == "0"
    assert root[0].get("skipped") == str(outcomes["skipped"])
    assert (outcomes["failure"] == 0) == (record.decision == "promote")
    assert became(cases[-1]) == ("passed" if record.decision == "promote" else f"failure:{record.decision}")


@pytest.mark.parametrize("outcome", ["passed", "failed", "inconclusive", "unmeasured", "waived"])
@pytest.mark.parametrize("severity", ["block", "warn"])
def test_a_rule_becomes_what_it_does_to_the_decision(outcome: str, severity: str) -> None:
    record = record_of("promote")
    rule = record.rules[0].model_copy(update={"outcome": outcome, "severity": severity})
    case = next(parsed(record.model_copy(update={"rules": (rule, *record.rules[1:])})).iter("testcase"))
    if outcome == "passed":
        assert became(case) == "passed"
    elif severity == "warn" or outcome == "waived":
        assert became(case) == f"skipped:{outcome}"
    else:
        assert became(case) == f"failure:{outcome}"


def test_a_waiver_is_told_with_who_answers_for_it() -> None:
    (skipped,) = parsed(record_of("waived")).iter("skipped")
    assert "waived by dana until 2025-03-31: the billing prompt changes next week, see OPS-12" in (skipped.text or "")


def test_the_hold_that_no_rule_explains_fails_too() -> None:
    """All rules passed, and still nothing was promoted: whoever counts failures must see that."""
    record = record_of("promote")
    held = record.model_copy(
        update={"decision": "hold", "sentence": "Hold: 4 of 4 rules passed; promotion waits for a person's approval."}
    )
    cases = list(parsed(held).iter("testcase"))
    assert [became(case) for case in cases] == ["passed"] * 5 + ["failure:hold"]


def test_rules_that_read_alike_have_names_of_their_own() -> None:
    record = record_of("promote")
    doubled = record.model_copy(update={"rules": (record.rules[0], record.rules[0], record.rules[0])})
    names = [case.get("name") for case in parsed(doubled).iter("testcase")]
    assert names == [
        "classification.accuracy >= 0.75",
        "classification.accuracy >= 0.75 (2)",
        "classification.accuracy >= 0.75 (3)",
        "decision",
    ]


def test_names_are_those_of_every_version() -> None:
    """CI systems plot a case over builds by suite, class and name: nothing of one version may be in them."""
    record = record_of("promote")
    (candidate, *others) = record.models
    later = record.model_copy(update={"models": (candidate.model_copy(update={"label": "support-bot v8"}), *others)})
    seen = [
        [
            (suite.get("name"), case.get("classname"), case.get("name"))
            for suite in root
            for case in suite.iter("testcase")
        ]
        for root in (parsed(record), parsed(later))
    ]
    assert seen[0] == seen[1]
    assert "v7" not in str(seen)


def test_properties_say_what_was_decided_on() -> None:
    record = record_of("hold")
    found = {one.get("name"): one.get("value") for one in parsed(record).iter("property")}
    assert found["model"] == "support-bot"
    assert found["candidate.version"] == "7"
    assert found["decision"] == "hold"
    assert found["record.digest"] == record.digest()
    assert found["gate_file.digest"] == record.gate_file.digest
    assert found["data.holdout.digest"] == record.datasets[0].digest


def test_a_moment_that_is_none_is_left_out() -> None:
    assert "timestamp" not in parsed(hostile_record())[0].attrib
    assert parsed(record_of("hold"))[0].get("timestamp") == "2025-03-04T09:15:30+00:00"


def test_hostile_text_is_seen_and_does_nothing() -> None:
    text = render_junit(hostile_record())
    assert "<script" not in text
    assert text.isprintable() or set(filter(lambda one: not one.isprintable(), text)) == {"\n"}
    properties = {one.get("name"): one.get("value") for one in ElementTree.fromstring(text).iter("property")}
    assert properties["model"] == inert_text(HOSTILE, limit=1000)


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_a_library_of_ci_tools_reads_it_back(record: DecisionRecord) -> None:
    junitparser = pytest.importorskip("junitparser")
    found = junitparser.JUnitXml.fromstring(render_junit(record).encode())
    (suite,) = found
    assert (found.tests, found.errors) == (len(record.rules) + 1, 0)
    assert (suite.failures == 0) == (record.decision == "promote")
    assert suite.time == pytest.approx(sum(record.run.seconds.values()))
    for rule, case in zip(record.rules, suite, strict=False):
        assert case.is_passed == (rule.outcome == "passed")
        assert case.is_skipped == (rule.outcome != "passed" and (rule.severity == "warn" or rule.outcome == "waived"))
    assert {one.name: one.value for one in suite.properties()}["decision"] == record.decision
