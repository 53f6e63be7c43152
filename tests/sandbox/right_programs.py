"""Programs that do their task, each in a way that a careless sandbox would hold against it: (task, program)."""

from __future__ import annotations

from finetune_gate.evaluators.asking import CodeTask


def _tests(*asserts: str, name: str = "solve", reference: str = "") -> CodeTask:
    return CodeTask(entry_point=name, test="\n".join(asserts), reference=reference)


def _check(body: str, reference: str = "") -> CodeTask:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return CodeTask(entry_point="solve", test=f"def check(candidate):\n{lines}\n", reference=reference)


def _calls(*calls: tuple[str, str], reference: str = "") -> CodeTask:
    return CodeTask(entry_point="solve", calls=calls, reference=reference)


_SLOW = "import time\ndef solve(n):\n    time.sleep({seconds})\n    return n\n"

RIGHT: dict[str, tuple[CodeTask, str]] = {
    "own classes": (
        _calls(("[[3, 1, 2]]", "[1, 2, 3]")),
        """
class Node:
    def __init__(self, value, left=None, right=None):
        self.value, self.left, self.right = value, left, right
    def __eq__(self, other): return False
    def walk(self):
        if self.left: yield from self.left.walk()
        yield self.value
        if self.right: yield from self.right.walk()
def solve(values):
    return list(Node(2, Node(1), Node(3)).walk())
""",
    ),
    "a dataclass with postponed annotations": (
        _calls(("[1, 2]", "3")),
        """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar
@dataclass
class Pair:
    left: int
    right: int
    known: ClassVar[list[Pair]] = []
def solve(a, b): return Pair(a, b).left + Pair(a, b).right
""",
    ),
    "randomness": (
        _check("assert sorted(candidate(list(range(9)))) == list(range(9))\nassert candidate([7]) == [7]"),
        "import random\ndef solve(values):\n    random.shuffle(values)\n    return values\n",
    ),
    "slower than the floor, as its reference is": (
        _calls(("[1]", "1"), reference=_SLOW.format(seconds=0.2)),
        _SLOW.format(seconds=0.8),
    ),
    "a deep recursion": (
        _calls(("[4000]", "8002000")),
        """
import sys
sys.setrecursionlimit(100_000)
def solve(n): return n + solve(n - 1) if n else 0
""",
    ),
    "sets, tuples and dicts": (
        _tests(
            "assert solve() == ({1, 2}, (1, (2.0, None)), {(1, 2): 'a', 3: frozenset([4])}, True)",
            "assert type(solve()) is tuple and type(solve()[0]) is set",
        ),
        "def solve(): return {2, 1}, (1, (2.0, None)), {(1, 2): 'a', 3: frozenset([4])}, True\n",
    ),
    "values that hold plain ones": (
        _tests(
            "assert solve('aab') == {'a': 2, 'b': 1}",
            "assert solve('x') == {'x': 1}",
        ),
        "from collections import Counter\nsolve = Counter\n",
    ),
    "named tuples, ordered dicts and enumerations": (
        _tests("assert solve() == [(1, 2), {'a': 1}, 3, {'b': []}]"),
        """
from collections import OrderedDict, defaultdict, namedtuple
from enum import IntEnum
class Three(IntEnum):
    THREE = 3
def solve():
    lists = defaultdict(list)
    lists["b"]
    return [namedtuple("Pair", "a b")(1, 2), OrderedDict(a=1), Three.THREE, lists]
""",
    ),
    "noise": (
        _calls(("[1]", "1"), ("[2]", "2")),
        """
import sys, os, warnings
print("hello", "{", '["verdict"', flush=True)
def solve(n):
    print("n" * 100_000)
    print(n, file=sys.stderr)
    os.write(1, b"noise")
    warnings.warn("noise")
    return n
""",
    ),
    "threads that end": (
        _calls(("[3]", "3")),
        """
import threading
def solve(n):
    seen = []
    threads = [threading.Thread(target=seen.append, args=(i,)) for i in range(n)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return len(seen)
""",
    ),
    "a coroutine of its own": (
        _calls(("[2]", "4")),
        "import asyncio\nasync def twice(n):\n    await asyncio.sleep(0)\n    return 2 * n\n"
        "def solve(n): return asyncio.run(twice(n))\n",
    ),
    "exceptions that the tests expect": (
        _check(
            """
for bad, kind in ((-1, ValueError), ("x", TypeError), (0, ZeroDivisionError)):
    try:
        candidate(bad)
    except kind as error:
        assert str(error), error
    else:
        assert False, bad
assert candidate(2) == 0.5
"""
        ),
        """
class Negative(ValueError): pass
def solve(n):
    if n < 0: raise Negative("less than zero")
    return 1 / n
""",
    ),
    "test cases": (
        CodeTask(
            entry_point="solve",
            test="""
import unittest
class TestSolve(unittest.TestCase):
    def test_value(self):
        self.assertEqual(solve("a", times=2), "aa")
    def test_error(self):
        with self.assertRaises(KeyError) as caught:
            solve("")
        self.assertEqual(caught.exception.args, ("nothing",))
""",
        ),
        "def solve(text, times=1):\n    if not text: raise KeyError('nothing')\n    return text * times\n",
    ),
    "changes in place": (
        _check(
            """
values, seen, names = [3, 1, 2], {1}, {"a": [1]}
assert candidate(values, seen, names=names) is None
assert values == [1, 2, 3] and seen == {1, 2} and names == {"b": 2}
"""
        ),
        "def solve(values, seen, names):\n    values.sort()\n    seen.add(2)\n    names.clear()\n    names['b'] = 2\n",
    ),
    "an argument that is not changed": (
        _check("values = [1, [2]]\nassert candidate(values) == [1, [2], 0]\nassert values == [1, [2]]"),
        "def solve(values): return values + [0]\n",
    ),
    "numbers at their ends": (
        _check(
            """
import math
huge, tiny, nan, zero, infinite, z = candidate(2)
assert huge == 2 ** 4000 and tiny == 5e-324 and math.isnan(nan) and infinite == -math.inf
assert math.copysign(1, zero) == -1 and z == 1 - 2j
assert candidate(0.1 + 0.2)[0] == 30
"""
        ),
        "def solve(n): return (n ** 4000 if type(n) is int else n == 0.30000000000000004 and 30,"
        " 5e-324, float('nan'), -0.0, float('-inf'), 1 - 2j)\n",
    ),
    "texts and bytes": (
        _check("assert candidate('a\\ud800\\0é\\n', b'\\xff\\0') == ('a\\ud800\\0é\\n', b'\\xff\\0', '\\U0001f600')"),
        "def solve(text, data): return text, data, '\\U0001f600'\n",
    ),
    "what it keeps between calls": (
        _calls(("[90]", "2880067194370816120"), ("[90]", "2880067194370816120")),
        """
from functools import lru_cache
@lru_cache(None)
def solve(n): return n if n < 2 else solve(n - 1) + solve(n - 2)
""",
    ),
    "keyword arguments": (_calls(('{"b": 2, "a": 1}', "[1, 2]")), "def solve(*, a, b): return a, b\n"),
    "a float that is summed another way": (_calls(("[[0.1, 0.2]]", "0.3"), ("[[]]", "0")), "solve = sum\n"),
    "a script as well": (
        _calls(("[1]", "2")),
        "import sys\ndef solve(n): return n + 1\nif __name__ == '__main__':\n    print(solve(int(input())))\n"
        "    sys.exit(1)\n",
    ),
    "helpers that the tests use": (
        _check(
            "for n in (2, 7):\n    assert math.isclose(squared(candidate(n)), n)\n",
            reference="import math\ndef squared(x):\n    return x * x\ndef solve(n):\n    return math.sqrt(n)\n",
        ),
        "def solve(n): return n ** 0.5\n",
    ),
    "modules that the tests leave to it": (
        _check("values: List[float] = [math.pi]\nassert candidate(values) == [3]"),
        "from typing import List\nimport math\ndef solve(values): return [math.floor(value) for value in values]\n",
    ),
    "lines, with white space at their ends": (
        CodeTask(dialogues=(("2\n1 2\n3 4\n", "3\n7\n"), ("1\n5 5\n", "10"))),
        "for _ in range(int(input())):\n    print(sum(map(int, input().split())), end=' \\n')\nprint()\n",
    ),
    "everything read at once": (
        CodeTask(dialogues=(("é\n" * 50_000, "50000 é\n"), ("", "0 \n"))),
        "import sys\nlines = sys.stdin.read().split()\nsys.stdout.write(' '.join([str(len(lines)), *lines[:1]]))\n",
    ),
    "bytes, and an early exit": (
        CodeTask(dialogues=(("3 4", "12"), ("1 1", "1"))),
        "import os, sys\na, b = map(int, sys.stdin.buffer.readline().split())\n"
        "sys.stdout.buffer.write(b'%d' % (a * b))\nsys.stdout.flush()\nos._exit(0)\n",
    ),
    "exit, and a guard": (
        CodeTask(dialogues=(("", "done"),)),
        "def main():\n    print('done')\n    exit()\n    print('never')\nif __name__ == '__main__':\n    main()\n",
    ),
    "a thread that prints last": (
        CodeTask(dialogues=(("", "first\nlast\n"),)),
        "import threading\nthreading.Timer(0.05, print, ['last']).start()\nprint('first')\n",
    ),
    "a process of its own that it leaves behind": (
        CodeTask(dialogues=(("", "done"),)),
        "import os, time\nif os.fork() == 0:\n    time.sleep(60)\nprint('done')\n",
    ),
}
