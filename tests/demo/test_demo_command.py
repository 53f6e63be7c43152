"""The demo as a person runs it, and the five exit statuses on its registry with gate files of a user's own."""

from __future__ import annotations

import json

import pytest
from demo_aids import Demo, command

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_demo_ends_with_one_promotion_and_one_block(demo: Demo) -> None:
    assert demo.status == 0, demo.output
    assert demo.output.index("PROMOTE") < demo.output.index("BLOCK")
    assert "Traceback" not in demo.output
    assert "Warning" not in demo.output


def test_a_second_demo_trains_nothing_and_ends_the_same(demo: Demo) -> None:
    again = command(demo.folder.parent, "demo", "--folder", str(demo.folder.parent))
    assert again.returncode == 0, again.stderr
    assert "step" not in again.stderr
    assert again.stdout.index("PROMOTE") < again.stdout.index("BLOCK")


@pytest.mark.parametrize(
    ("rule", "arguments", "status", "says"),
    [
        ("{metric: classification.accuracy, min: 0.9}", ("--version", "1", "--dry-run"), 0, "promote"),
        ("{metric: classification.accuracy, min: 0.9}", ("--version", "2"), 1, "block"),
        (
            "{metric: classification.acuracy, min: 0.9}",
            ("--version", "2"),
            2,
            "did you mean 'classification.accuracy'?",
        ),
        ("{metric: classification.accuracy, min: 0.26}", ("--version", "2", "--dry-run"), 3, "hold"),
        ("{metric: classification.accuracy, min: 0.9}", ("--tracking-uri", "http://127.0.0.1:9"), 4, "127.0.0.1:9"),
    ],
)
def test_exit_statuses(demo: Demo, rule: str, arguments: tuple[str, ...], status: int, says: str) -> None:
    found, result = demo.gate(rule, *arguments)
    assert found == status, result
    assert says in json.dumps(result)
