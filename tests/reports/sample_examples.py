"""Examples of the sample records, harmless and hostile, and a reader of what the page embeds of them."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, TypedDict

from sample_records import LABELS, sample

from finetune_gate.evaluators.scores import ScoreTable
from finetune_gate.evaluators.showing import Note, Said, Shown, ShownExamples
from finetune_gate.gate.record import DecisionRecord

BEFORE = "Sort this ticket into billing, bug or praise. Answer with the label alone.\n\nTicket: "
AFTER = "\nThe label of the ticket above:"
TICKETS = ("The invoice is empty", "I was charged twice", "It crashes at night", "I love the new editor")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"


@cache
def sample_with_examples(name: str = "hold") -> tuple[DecisionRecord, ScoreTable, ShownExamples]:
    """Tickets with the answers that their scores speak of, and texts of which nothing was asked."""
    record, table = sample(name)
    scores = table.of("classification")
    tickets = [
        Shown(
            example.id,
            f"{BEFORE}{TICKETS[at % 4]}, number {at}.{AFTER}",
            example.slices["category"],
            {role: _label(columns["prediction"][at], at, role) for role, columns in scores.columns.items()},
            (Note("openai:/gpt-4o", "candidate", f"The label of ticket {at} is plain."),) if at % 10 == 0 else (),
        )
        for at, example in enumerate(scores.examples)
    ]
    texts = [Shown(example.id, f"Text {example.id}") for example in table.of("perplexity").examples]
    return record, table, ShownExamples({"classification": tuple(tickets), "perplexity": tuple(texts)})


def _label(code: object, at: int, role: str) -> Said:
    if role == "base" and at % 20 == 3:
        return Said("I cannot say.", "no label in the answer")
    return Said(LABELS[int(code)]) if isinstance(code, float) else Said("", "CUDA out of memory on a batch of 64")


PIECES = (
    "<script>window.woken = 1; alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<!-- <script>",
    "-->",
    "]]>",
    "<svg onload=alert(3)><path d='M0 0'/></svg>",
    "<img src=x onerror='window.woken = 2'>",
    "</textarea></style>",
    "<iframe srcdoc='<script>parent.woken = 3</script>'></iframe>",
    "<a href='javascript:alert(4)'>x</a>",
    "<base href=//x>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "<link rel=stylesheet href=http://evil.example/x>",
    "<form action=http://evil.example><button>Send</button></form>",
    "<details open ontoggle=alert(5)>",
    "&lt;b&gt;&#60;i&#62;",
    "\u202egnp.exe\u202c",
    "\u2066\u2067\u200f\u061c",
    "\u05d0\u05d1\u05d2 (1)",
    "\x1b[31mred\x1b[0m",
    "\x9b2J",
    "\x00\x07\x08",
    "\u2028\u2029",
    "# title\n- [x] done\n![i](http://evil.example/i.png)",
    "[link](javascript:alert(6))",
    "```\ncode\n```",
    '"}],"evaluators":[{"',
    "\\u003c",
    "\\",
    '"',
    "'",
    "`${alert(7)}`",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "__proto__",
    "constructor",
    "\ud800",
    "\udfff!",
    "\U000e0041",
    "\ufeff",
    "e\u0301" * 9,
    "z\u0334\u0335\u0336\u0337" * 5,
    "\r\n\t",
    "https://evil.example/?q=1&x=2",
    "<plaintext>",
    "<template><b>",
    "\U0001f600",
)


def hostile_texts(count: int) -> list[str]:
    """All different, each of several pieces that try to act, to end what they are in, or to hide something."""
    luck = random.Random(11)
    return [f"{at} " + " ".join(luck.sample(PIECES, luck.randint(2, 6))) for at in range(count)]


class Packed(TypedDict):
    """A column of few different cells."""

    of: list[Any]
    at: str


@dataclass(frozen=True)
class Read:
    """An evaluator as the page's script reads it: every column spelled out."""

    fields: dict[str, Any]
    texts: list[str]
    columns: list[list[Any] | Packed]

    def text(self, name: str) -> str:
        return self.texts[int(self.fields[name])]

    def column(self, number: int) -> list[Any]:
        packed = self.columns[number]
        return packed if isinstance(packed, list) else [packed["of"][LETTERS.index(letter)] for letter in packed["at"]]

    def text_column(self, number: int) -> list[str | None]:
        return [None if cell is None else self.texts[cell] for cell in self.column(number)]

    def score_column(self, number: int) -> list[float | str]:
        return [self.texts[cell[0]] if isinstance(cell, list) else cell for cell in self.column(number)]

    def shown(self) -> list[Shown]:
        """The examples again, prompts without what they have in common."""
        roles = self.fields["roles"]
        answers = [self.text_column(number) for number in self.fields["answers"]]
        faults = [self.text_column(number) for number in self.fields["faults"]]
        notes: dict[int, tuple[Note, ...]] = {}
        for at, *note in self.fields["notes"]:
            by, about, text = (self.texts[int(number)] for number in note)
            notes[at] = (*notes.get(at, ()), Note(by, about, text))
        columns = [self.text_column(self.fields[name]) for name in ("ids", "asked", "wanted")]
        return [
            Shown(
                str(name),
                str(asked),
                str(wanted),
                {
                    role: Said(str(text), faults[place][at])
                    for place, role in enumerate(roles)
                    if (text := answers[place][at]) is not None
                },
                notes.get(at, ()),
            )
            for at, (name, asked, wanted) in enumerate(zip(*columns, strict=True))
        ]


def read_page(source: str) -> list[Read]:
    """What a page embeds."""
    (data,) = re.findall(r'<script type="application/json" id="examples-data">(.*?)</script>', source, re.S)
    assert not set("<>&\u2028\u2029") & set(data)
    content = json.loads(data)
    return [Read(fields, content["texts"], content["columns"]) for fields in content["evaluators"]]
