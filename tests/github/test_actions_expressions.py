"""The expressions of workflows, by GitHub's own rules: the other tests here run what these words mean there."""

from __future__ import annotations

import pytest
from workflow_expressions import Status, Value, filled, holds, text, value

CONTEXTS: dict[str, Value] = {
    "inputs": {"dry-run": "true", "empty": ""},
    "needs": {"a": {"result": "success", "outputs": {"x": "1"}}, "b": {"result": "skipped", "outputs": {}}},
    "matrix": {"python": 3.12, "on": True},
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("inputs.dry-run == 'TRUE'", True),
        ("inputs.missing", None),
        ("inputs.missing.deeper == ''", True),
        ("needs.a.outputs.x == 1", True),
        ("'x' == 0", False),
        ("inputs.empty || 'other'", "other"),
        ("inputs.dry-run && 'a' || 'b'", "a"),
        ("!(needs.b.result == 'success')", True),
        ("needs.a.result != 'success' || needs.b.result != 'success'", True),
        ("join(needs.*.result, ' ')", "success skipped"),
        ("contains(needs.*.result, 'skipped')", True),
        ("format('{0}/{1}', 'it''s', matrix.on)", "it's/true"),
        ("fromJSON('{\"include\": []}').include", []),
        ("matrix['python']", 3.12),
    ],
)
def test_values(expression: str, expected: Value) -> None:
    assert value(expression, CONTEXTS, Status()) == expected


@pytest.mark.parametrize("expression", ["unknown.x", "a b", "'open", "hashFiles('x')", "needs.", "(true"])
def test_what_is_not_known_is_an_error(expression: str) -> None:
    with pytest.raises(ValueError, match=r"no context|not an expression|not known|missing"):
        value(expression, CONTEXTS, Status())


def test_texts_keep_what_is_in_a_value() -> None:
    assert text("v${{ matrix.python }}-${{ inputs.dry-run }}", CONTEXTS, Status()) == "v3.12-true"
    assert filled("${{ matrix.on }}", CONTEXTS, Status()) is True
    assert text("${{ inputs.x }}", {"inputs": {"x": "${{ github.token }}"}}, Status()) == "${{ github.token }}"


@pytest.mark.parametrize(
    ("condition", "status", "expected"),
    [
        (None, Status(), True),
        (None, Status(failed=True), False),
        (None, Status(skipped=True), False),
        ("inputs.dry-run == 'true'", Status(failed=True), False),
        ("always()", Status(failed=True, cancelled=True), True),
        ("${{ always() && inputs.empty != '' }}", Status(), False),
        ("failure()", Status(failed=True), True),
        ("cancelled()", Status(cancelled=True), True),
    ],
)
def test_conditions(condition: str | None, status: Status, expected: bool) -> None:
    assert holds(condition, CONTEXTS, status) is expected


def test_a_condition_with_text_around_it_is_refused() -> None:
    """For GitHub it is a text, and so always true."""
    with pytest.raises(ValueError, match="always true"):
        holds("${{ inputs.empty }} == 'x'", CONTEXTS, Status())
