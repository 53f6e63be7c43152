"""What a person sees of a plan."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from sample_plans import BASE, CANDIDATE, CHAMPION, JUDGE, RULES, plan_of

from finetune_gate.gate.planning import print_plan, render_plan
from finetune_gate.gate.planning.planned import Seconds

WIDE = """\
Plan  support-bot v7
planned 3 min ago; --fresh plans again
1,440 requests asked by evaluators, 1,380 different

Models
  candidate  support-bot v7
             cpu, float32
  base       base-bot v1
             cpu, float32
  champion   gpt-4o-mini
             https://api.openai.com/v1
  judge      openai:/gpt-4o
             https://api.openai.com/v1

Work, in requests and tokens
             requests  in store   left     reads  writes at most  time, about
  candidate     1,380         0  1,380   104,220          12,800         42 s
  base          1,380     1,380      0         0               0         none
  champion      1,380         0  1,380  ~110,000         ~12,800      unknown
  judge openai:/gpt-4o: at most 4,140 calls
  together about 42 s

Smallest difference that each rule can detect
  rule                                examples  detects
  classification.accuracy >= 0.75          320  0.06
  classification.accuracy at most          320  0.12
  0.02 worse than base and         80 clusters
  champion
  margin 0.02 needs about 3,092
  clusters; there are 80
  perplexity.bits_per_byte not             320  known once the base has answered
  worse than base  (warning only)

Warnings
  the candidate's files are identical to the champion's: no run promotes it

Notes
  champion: not calibrated: nothing is sent to an API by a plan
  texts are counted at their full length; they may end earlier
  detects: where the truth lies so far beyond the bound, 4 of 5 datasets of this
  size show it
  assumed: for a value, the spread of scores whose mean is the bound
  assumed: for a change, models that differ on 20 % of the examples, each
  cluster counted as one example
"""

NARROW = """\
Plan  support-bot v7
1,440 requests asked by evaluators, 1,380
different

Models
  candidate  support-bot v7
             cpu, float32
  base       base-bot v1
             cpu, float32
  champion   gpt-4o-mini
             https://api.openai.com/v1
  judge      openai:/gpt-4o
             https://api.openai.com/v1

Work
  candidate: 1,380 requests
    0 in store, 1,380 left
    reads 104,220, writes at most 12,800 tokens
    time, about: 42 s
  base: 1,380 requests
    1,380 in store, 0 left
    time, about: none
  champion: 1,380 requests
    0 in store, 1,380 left
    reads ~110,000, writes at most ~12,800 tokens
    time, about: unknown
  judge openai:/gpt-4o: at most 4,140 calls
  together about 42 s

Smallest difference that each rule can detect
  classification.accuracy >= 0.75
    320 examples; detects: 0.06
  classification.accuracy at most 0.02 worse than
  base and champion
  margin 0.02 needs about 3,092 clusters; there
  are 80
    320 examples, 80 clusters; detects: 0.12
  perplexity.bits_per_byte not worse than base
  (warning only)
    320 examples; detects: known once the base has
    answered

Warnings
  the candidate's files are identical to the
  champion's: no run promotes it

Notes
  champion: not calibrated: nothing is sent to an
  API by a plan
  texts are counted at their full length; they may
  end earlier
  detects: where the truth lies so far beyond the
  bound, 4 of 5 datasets of this size show it
  assumed: for a value, the spread of scores whose
  mean is the bound
  assumed: for a change, models that differ on 20
  % of the examples, each cluster counted as one
  example
"""

DONE = """\
Plan  support-bot v7
1,440 requests asked by evaluators, 1,380 different
nothing to compute: the answer store holds every answer

Models
  candidate  support-bot v7
             cpu, float32
  base       base-bot v1
             cpu, float32
  champion   support-bot v7
             cpu, float32

Work, in requests and tokens
             requests  in store  left  reads  writes at most  time, about
  candidate     1,380     1,380     0      0               0         none
  base          1,380     1,380     0      0               0         none
  champion      1,380     1,380     0      0               0         none

Smallest difference that each rule can detect
  rule                             examples  detects
  classification.accuracy >= 0.75       320  0.06

Notes
  champion: the same model as the candidate, whose answers are its own
  detects: where the truth lies so far beyond the bound, 4 of 5 datasets of this
  size show it
  assumed: for a value, the spread of scores whose mean is the bound
"""

HOSTILE = "\x1b[31mred\u202e[bold]x[/bold]"


def test_a_plan_at_80_columns() -> None:
    plan = plan_of(CANDIDATE, BASE, CHAMPION, judges=(JUDGE,), age_seconds=200)
    assert render_plan(plan, width=80) == WIDE.rstrip("\n")


def test_a_plan_at_50_columns() -> None:
    assert render_plan(plan_of(CANDIDATE, BASE, CHAMPION, judges=(JUDGE,)), width=50) == NARROW.rstrip("\n")


def test_a_plan_with_nothing_to_compute() -> None:
    done = BASE.model_copy(update={"role": "candidate", "name": "candidate", "label": "support-bot v7"})
    twin = done.model_copy(update={"role": "champion", "name": "champion", "same_as": "candidate"})
    plan = plan_of(done, BASE, twin).model_copy(update={"rules": RULES[:1], "warnings": (), "notes": ()})
    assert render_plan(plan, width=80) == DONE.rstrip("\n")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (Seconds(loading=1, computing=9), "10 s"),
        (Seconds(loading=9, computing=1), "10 s"),
        (Seconds(loading=60, computing=7200), "2 h 01 min"),
    ],
)
def test_times(seconds: Seconds, shown: str) -> None:
    text = render_plan(plan_of(CANDIDATE.model_copy(update={"seconds": seconds})), width=120)
    assert re.search(rf"12,800 +{shown}\n", text)


@pytest.mark.parametrize("width", [40, 60, 76, 80, 100, 140])
def test_no_line_is_too_long_and_nothing_is_cut(width: int) -> None:
    plan = plan_of(CANDIDATE, BASE, CHAMPION, judges=(JUDGE,), age_seconds=5)
    text = render_plan(plan, width=width)
    assert max(map(len, text.split("\n"))) <= width
    solid = re.sub(r"\s", "", text)
    for part in (*(model.label for model in plan.models), "104,220", "4,140calls", CHAMPION.runs_on):
        assert part.replace(" ", "") in solid
    for rule in plan.rules:
        for word in f"{rule.rule} {rule.shortfall or ''}".split():
            assert word in text or (width < 60 and word in solid)
    assert "…" not in text


@pytest.mark.parametrize("width", [50, 100])
def test_hostile_text_is_seen_and_does_nothing(width: int) -> None:
    plan = plan_of(
        CANDIDATE.model_copy(update={"label": HOSTILE, "runs_on": HOSTILE}),
        judges=(JUDGE.model_copy(update={"name": HOSTILE, "label": HOSTILE}),),
    ).model_copy(update={"warnings": (HOSTILE,), "rules": (RULES[1].model_copy(update={"rule": HOSTILE}),)})
    text = render_plan(plan, width=width)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert re.sub(r"\s", "", text).count("\\x1b[31mred\\u202e[bold]x[/bold]") == 7


def test_colour_adds_nothing_but_colour() -> None:
    plan = plan_of(CANDIDATE, BASE)
    coloured = render_plan(plan, color=True)
    assert "\x1b[" in coloured
    bare = re.sub("\x1b\\[[0-9;]*m", "", coloured)
    assert "\n".join(line.rstrip() for line in bare.split("\n")) == render_plan(plan)


def test_a_plan_is_printed_to_any_console() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_plan(plan_of(CANDIDATE), console=console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().startswith("Plan  support-bot v7")
