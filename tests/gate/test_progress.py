"""What people see of long work, as tables."""

from __future__ import annotations

import pytest

from finetune_gate.gate.progress import Lines, duration_text, progress_line, rate_text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (187.2, "3 min 07 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration_text(seconds) == shown


@pytest.mark.parametrize(
    ("per_second", "shown"), [(43.12, "43.1/s"), (1, "1.0/s"), (12_345.6, "12,346/s"), (0.05, "3.0/min")]
)
def test_rates(per_second: float, shown: str) -> None:
    assert rate_text(per_second) == shown


@pytest.mark.parametrize(
    ("done", "total", "seconds", "shown"),
    [
        (512, 1440, 12.0, "candidate: texts: 512 of 1,440 (35 %), 42.7/s, 22 s left"),
        (1440, 1440, 60.0, "candidate: texts: 1,440 of 1,440 (100 %), 24.0/s, 1 min 00 s"),
        (0, 10, 5.0, "candidate: texts: 0 of 10 (0 %)"),
        (1, 10, 60.0, "candidate: texts: 1 of 10 (10 %), 1.0/min, 9 min 00 s left"),
        (0, 0, 0.0, "candidate: texts: 0 of 0"),
    ],
)
def test_lines(done: int, total: int, seconds: float, shown: str) -> None:
    assert progress_line("candidate: texts", done, total, seconds) == shown


class Kept(Lines):
    def __init__(self, every: float) -> None:
        super().__init__(every)
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_a_stretch_is_said_once_at_its_end_where_it_is_short() -> None:
    kept = Kept(every=3600)
    kept.begin("base: log-likelihoods", 3)
    for _ in range(3):
        kept.advance()
    assert len(kept.lines) == 1
    assert kept.lines[0].startswith("  base: log-likelihoods: 3 of 3 (100 %)")


def test_a_long_stretch_is_said_now_and_then() -> None:
    kept = Kept(every=0)
    kept.begin("judge openai:/gpt: texts", 2)
    kept.advance()
    kept.advance()
    assert [line.split(",")[0] for line in kept.lines] == [
        "  judge openai:/gpt: texts: 1 of 2 (50 %)",
        "  judge openai:/gpt: texts: 2 of 2 (100 %)",
    ]
