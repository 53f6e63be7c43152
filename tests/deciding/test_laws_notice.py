"""Faults put into the decision on purpose, which its laws must notice: a few by hand, `make mutation-tests` for all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DECIDING = ROOT / "gate" / "deciding"

FAULTS: dict[str, tuple[str, str, str]] = {
    "a bound that is met by a value on the wrong side": (
        "comparing.py",
        '(side == "at least" and low >= bound)',
        '(side == "at least" and high >= bound)',
    ),
    "a metric of which less is better is taken the other way": (
        "comparing.py",
        "return -rule.bound",
        "return rule.bound",
    ),
    "an interval without width is proof": ("comparing.py", "measured.method != COUNTED", "False"),
    "the champion is not compared with": (
        "comparing.py",
        '("base", "champion") if has_champion else ("base",)',
        '("base",)',
    ),
    "the best check decides": ("checking.py", '    "failed",\n    "unmeasured",', '    "passed",\n    "unmeasured",'),
    "a waiver never ends": ("checking.py", "circumstances.today <= waiver.expires", "True"),
    "an approval answers for what failed": ("checking.py", 'outcome in ("inconclusive", "unmeasured")', "True"),
    "a requirement is not looked at": ("checking.py", "if not found.value >= one.least:", "if False:"),
    "a warning blocks": ("verdict.py", 'if result.rule.severity == "block"]', "]"),
    "nothing at all is enough": ("verdict.py", "if not passed:", "if False:"),
    "the same files are promoted": ("verdict.py", "if circumstances.identical:", "if False:"),
    "other files are promoted": ("verdict.py", "if circumstances.files_changed is not None:", "if False:"),
    "a moved champion is forgotten": ("verdict.py", "if circumstances.champion_moved is not None:", "if False:"),
    "nobody need approve": ("verdict.py", "if circumstances.approval_required and", "if False and"),
    "a reviewer's block is not heard": ("verdict.py", 'review.verdict == "block"', "False"),
}

PROGRAM = """
import json
import os
import sys

sys.path[:0] = sys.argv[1:]
import hypothesis
import numpy
import pytest
from run_mutants import DECIDING, OneModule

import finetune_gate.evaluators.measurement
import finetune_gate.gate.gate_file.rules


def notices():
    import test_laws as laws
    import test_verdict_table as table

    table.test_every_verdict_of_up_to_two_rules_in_every_circumstance()
    for kind in table.PLAIN:
        table.test_every_position_of_an_interval(kind)
    for kind in table.PAIRED:
        table.test_the_worse_of_two_baselines_decides_and_against_chooses_one(kind)
    table.test_every_requirement_must_be_met_whatever_the_metric_says(table.PLAIN[0])
    laws.test_a_promotion_rests_on_positive_proof()


def noticed(module, source):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
    sys.meta_path.insert(0, OneModule(f"{DECIDING}.{module}", source))
    try:
        notices()
    except BaseException:
        os._exit(1)
    os._exit(0)


faults = json.load(sys.stdin)
print(json.dumps({name: noticed(module, source) for name, (module, source) in faults.items()}))
"""


def test_every_fault_is_noticed_and_none_is_seen_where_none_is() -> None:
    sources = {"nothing": ("verdict", (DECIDING / "verdict.py").read_text(encoding="utf-8"))}
    for name, (module, right, wrong) in FAULTS.items():
        source = (DECIDING / module).read_text(encoding="utf-8")
        assert source.count(right) == 1, f"{module} has no {right!r} any more: a fault that cannot be made"
        sources[name] = (module.removesuffix(".py"), source.replace(right, wrong))
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT / "tests" / "mutation"), str(Path(__file__).parent)],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "FINETUNE_GATE_LAW_EXAMPLES": "20"},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    noticed = json.loads(ran.stdout)
    assert not noticed.pop("nothing")
    assert [name for name, seen in noticed.items() if not seen] == []
