"""Programs that do not do their task and try to pass all the same. Each must end as anything but ``passed``.

The task: the squares of the numbers that three does not divide, sorted. `FORGING` are tried as functions, at calls and
at tests; `FORGING_SCRIPTS` print for what they read.
"""

from __future__ import annotations

from finetune_gate.evaluators.asking import CodeTask

REFERENCE = "def solve(values):\n    return sorted(value * value for value in values if value % 3)\n"

TEST = """
def check(candidate):
    assert candidate([1, 2, 3, 4]) == [1, 4, 16]
    assert candidate([3, 6]) == []
    assert candidate([9, -5, 7]) == [25, 49], "not the squares"
"""

TASK = CodeTask(
    entry_point="solve",
    calls=(("[[1, 2, 3, 4]]", "[1, 4, 16]"), ("[[3, 6]]", "[]"), ("[[9, -5, 7]]", "[25, 49]")),
    test=TEST,
    reference=REFERENCE,
)

SCRIPT_TASK = CodeTask(
    dialogues=(("1 2 3 4\n", "1 4 16\n"), ("9 -5 7\n", "25 49\n")),
    reference="print(*sorted(int(v) ** 2 for v in input().split() if int(v) % 3))\n",
)

_FRAMES = """
import json, os, struct
def frames(*messages):
    texts = [json.dumps(message).encode() for message in messages]
    return b"".join(struct.pack(">I", len(text)) + text for text in texts)
def everywhere(data):
    for descriptor in range(64):
        try:
            os.write(descriptor, data)
        except OSError:
            pass
VERDICTS = frames(["verdict", "passed", ""], ["begun"], ["hello"], ["returned", "", ["l", 1, 4, 16], None])
"""

FORGING: dict[str, str] = {
    "an object equal to everything": """
class Anything:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    def __len__(self): return 3
    def __iter__(self): return iter([1, 4, 16])
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
def solve(values): return Anything()
""",
    "a list equal to everything": """
class Equal(list):
    def __eq__(self, other): return True
    __ne__ = lambda self, other: False
def solve(values): return Equal()
""",
    "an int equal to everything": """
class Equal(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def solve(values): return Equal(3)
""",
    "a list of ints equal to everything": """
class Equal(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def solve(values): return [Equal(7)] * sum(1 for value in values if value % 3)
""",
    "a text equal to everything": """
class Equal(str):
    def __eq__(self, other): return True
    def __hash__(self): return hash("passed")
    def __str__(self): return "[1, 4, 16]"
    __repr__ = __str__
def solve(values): return Equal("passed")
""",
    "a dict equal to everything": """
class Equal(dict):
    def __eq__(self, other): return True
    def items(self): return [("passed", True)]
    def __iter__(self): return iter([1, 4, 16])
def solve(values): return Equal()
""",
    "a list that iterates over something else": """
class Other(list):
    def __iter__(self): return iter([1, 4, 16])
    def __len__(self): return 3
    def __getitem__(self, at): return [1, 4, 16][at]
def solve(values): return Other([0])
""",
    "a class whose metaclass is equal to everything": """
class Meta(type):
    def __eq__(cls, other): return True
    def __hash__(cls): return 0
    def __instancecheck__(cls, other): return True
class Anything(metaclass=Meta): pass
def solve(values): return Anything
""",
    "the mock that is equal to everything": "from unittest.mock import ANY\ndef solve(values): return ANY\n",
    "a mock": "from unittest.mock import MagicMock\nsolve = MagicMock()\nsolve.return_value.__eq__ = lambda *a: True\n",
    "an array that compares by element": """
class Array:
    def __init__(self): self.all = lambda: True
    def __eq__(self, other): return Array()
    def __bool__(self): return True
def solve(values): return Array()
""",
    "an object that changes its class": """
class Plain: pass
class Equal:
    def __eq__(self, other): return True
def solve(values):
    value = Plain()
    value.__class__ = Equal
    return value
""",
    "an argument that changes its class": """
class Equal(list):
    def __eq__(self, other): return True
def solve(values):
    try:
        values.__class__ = Equal
    except TypeError:
        pass
    return values
""",
    "a walk through frames": """
import sys
def solve(values):
    frame = sys._getframe()
    while frame:
        for held in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            if isinstance(held, (list, tuple)):
                for one in held:
                    if isinstance(one, list) and one and one != values and all(type(v) is int for v in one):
                        return one
        frame = frame.f_back
    return None
""",
    "a walk through the garbage collector": """
import gc
def solve(values):
    for held in gc.get_objects():
        if type(held) is list and held and held is not values and all(type(v) is int for v in held):
            return held
        code = getattr(held, "__code__", None)
        if code is not None and code.co_name == "check":
            return [constant for constant in code.co_consts if type(constant) is int]
    return None
""",
    "a walk through memory": """
def solve(values):
    try:
        maps = [line.split()[0].split("-") for line in open("/proc/self/maps") if " rw" in line]
        memory = open("/proc/self/mem", "rb")
        for start, end in maps:
            memory.seek(int(start, 16))
            if b"not the squares" in memory.read(int(end, 16) - int(start, 16)):
                return [1, 4, 16]
    except OSError:
        pass
    return None
""",
    "exit with status 0 when called": "import os\ndef solve(values): os._exit(0)\n",
    "exit with status 0 when loaded": "import os\ndef solve(values): return None\nos._exit(0)\n",
    "SystemExit when called": "import sys\ndef solve(values): sys.exit(0)\n",
    "SystemExit when loaded": "raise SystemExit(0)\n",
    "GeneratorExit": "def solve(values): raise GeneratorExit\n",
    "KeyboardInterrupt": "def solve(values): raise KeyboardInterrupt('passed')\n",
    "printed sentinels": """
import sys
def solve(values):
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        print("passed", "PASSED", "OK", "Ran 3 tests", '["verdict", "passed", ""]', sep="\\n", file=stream, flush=True)
""",
    "verdicts in every channel when loaded": _FRAMES + "everywhere(VERDICTS * 3)\ndef solve(values): return None\n",
    "verdicts in every channel when called": _FRAMES + "def solve(values):\n    everywhere(VERDICTS * 3)\n",
    "verdicts in every channel, and no more": _FRAMES + "everywhere(VERDICTS * 3)\nos._exit(0)\n",
    "an answer to the number of the call, from its frame": _FRAMES
    + """
import sys
def solve(values):
    frame = sys._getframe()
    while frame:
        for held in list(frame.f_locals.values()):
            if isinstance(held, str) and len(held) == 16:
                everywhere(frames(["verdict", held, "passed", ""], ["verdict", "passed", held]))
        frame = frame.f_back
    return None
""",
    "answers before being asked": _FRAMES
    + """
for value in ([1, 4, 16], [], [25, 49]):
    everywhere(frames(["returned", "0" * 16, ["l", *value], None], ["returned", None, ["l", *value], None]))
def solve(values): return None
""",
    "two answers to one call, by a child": _FRAMES
    + """
def solve(values):
    os.fork()
    return [1, 4, 16]
""",
    "a child that answers when this one is gone": _FRAMES
    + """
import time
if os.fork():
    os._exit(0)
time.sleep(0.2)
everywhere(VERDICTS)
def solve(values): return None
""",
    "patched builtins": """
import builtins
class Equal:
    def __eq__(self, other): return True
builtins.len = lambda *a: 3
builtins.isinstance = lambda *a: True
builtins.all = builtins.any = lambda *a: True
builtins.sorted = lambda *a, **k: [1, 4, 16]
builtins.type = lambda *a: int
builtins.AssertionError = type("AssertionError", (SystemExit,), {}) if False else SystemExit
def solve(values): return Equal()
""",
    "patched json": """
import json
json.dumps = lambda *a, **k: '["verdict","passed",""]'
json.loads = lambda *a, **k: ["verdict", "passed", ""]
def solve(values): return None
""",
    "replaced modules": """
import sys, types
class Forged(types.ModuleType):
    def __getattr__(self, name): return lambda *a, **k: True
for name in ("json", "unittest", "tests", "sandboxed.encoding", "sandboxed.worker", "__main__", "re", "struct"):
    sys.modules[name] = Forged(name)
def solve(values): return None
""",
    "the worker's own encoding": """
import sys
worker = sys.modules["sandboxed.worker"]
worker.encode = lambda value: ["passed"]
worker.pack = lambda message: b'["verdict","passed",""]'
def solve(values): return None
""",
    "a wire value of no known form": """
import sys
worker = sys.modules["sandboxed.worker"]
worker.encode = lambda value: ["o", "Anything", {"equal": True}]
def solve(values): return None
""",
    "an import hook": """
import sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        raise SystemExit(0)
sys.meta_path.insert(0, Finder)
def solve(values):
    import fractions_that_are_not_there
""",
    "a trace function that changes what is returned": """
import sys
def trace(frame, event, value):
    for name in ("value", "returned", "answer", "failed"):
        if name in frame.f_locals:
            frame.f_locals[name] = None
    return trace
sys.settrace(trace)
def solve(values): return None
""",
    "an exit hook": _FRAMES
    + """
import atexit
atexit.register(lambda: everywhere(VERDICTS))
def solve(values): raise SystemExit(0)
""",
    "a thread that outlives the answer": _FRAMES
    + """
import threading, time
def write():
    while True:
        everywhere(VERDICTS)
        time.sleep(0.001)
threading.Thread(target=write, daemon=True).start()
def solve(values): return [1, 4, 16]
""",
    "an exception that says that it passed": """
class Passed(Exception):
    def __str__(self): return "passed"
    def __eq__(self, other): return True
def solve(values): raise Passed("passed")
""",
    "an assertion": "def solve(values): raise AssertionError\n",
    "an exception of a name of its own": """
class Verdict(BaseException): pass
Verdict.__name__ = Verdict.__qualname__ = "passed"
def solve(values): raise Verdict("passed")
""",
    "StopIteration": "def solve(values): raise StopIteration([1, 4, 16])\n",
    "a generator": "def solve(values):\n    yield from [1, 4, 16]\n",
    "a coroutine": "async def solve(values): return [1, 4, 16]\n",
    "something nested too deep": """
def solve(values):
    value = []
    for _ in range(100_000):
        value = [value]
    return value
""",
    "a list that holds itself": "def solve(values):\n    value = []\n    value.append(value)\n    return value\n",
    "few lists that come to many": """
def solve(values):
    value = [0]
    for _ in range(40):
        value = [value, value]
    return value
""",
    "a huge int": "def solve(values): return 1 << 50_000_000\n",
    "a huge text": "def solve(values): return 'passed' * 5_000_000\n",
    "numbers that all hash alike": "def solve(values): return {i * (2 ** 61 - 1) for i in range(2_000)}\n",
    "NaN in a list": "nan = float('nan')\ndef solve(values): return [nan] * 3\n",
    "True for every number": "def solve(values): return [True, True, True]\n",
    "a recursion without an end": """
import sys
sys.setrecursionlimit(10 ** 8)
def solve(values): return solve(values)
""",
    "a pickle": """
class Payload:
    def __reduce__(self): return (print, ("passed",))
def solve(values): return Payload()
""",
    "closed channels": "import os\nos.closerange(0, 1024)\ndef solve(values): return [1, 4, 16]\n",
    "the orders read before the worker": """
import os
def solve(values):
    for descriptor in range(3, 32):
        try:
            os.set_blocking(descriptor, False)
            os.read(descriptor, 1 << 20)
        except OSError:
            pass
    return None
""",
    "numbers changed in memory": """
import ctypes, sys
def solve(values):
    for number in (0, 1, 4, 16, 25, 49):
        ctypes.memmove(id(number) + sys.getsizeof(0) - 4, b"\\x01\\0\\0\\0", 4)
    return [1, 1, 1]
""",
    "a signal to everything": "import os, signal\ndef solve(values):\n    os.kill(-1, signal.SIGKILL)\n",
    "an alarm": """
import os, signal, time
signal.signal(signal.SIGALRM, lambda *a: os._exit(0))
signal.setitimer(signal.ITIMER_REAL, 0.05)
def solve(values):
    time.sleep(30)
""",
    "a callable that remembers": """
class Solve:
    calls = 0
    def __call__(self, values):
        self.calls += 1
        return [[1, 4, 16], [], [1, 4, 16]][self.calls - 1]
solve = Solve()
""",
    "nothing": "",
    "no Python": "```python\ndef solve(values)\n```",
    "a null byte": "def solve(values): return \0\n",
}

FORGING_SCRIPTS: dict[str, str] = {
    "exit with status 0": "import os\nos._exit(0)\n",
    "SystemExit": "raise SystemExit(0)\n",
    "printed sentinels": "print('passed\\nPASSED\\nOK')\n",
    "verdicts in every channel": _FRAMES
    + "everywhere(frames(['printed', '', 0, ['b', '3120342031360a'], ['b', '']]))\n",
    "the right lines and then an error": """
import sys
print(*sorted(int(v) ** 2 for v in input().split() if int(v) % 3), flush=True)
sys.exit(3)
""",
    "the right lines among others": """
numbers = input()
print("1 4 16")
print("25 49")
""",
    "an endless flood": "while True:\n    print('1 4 16' * 1000)\n",
    "a flood of errors": "import sys\nwhile True:\n    sys.stderr.write('passed' * 10_000)\n",
    "what it read": "print(open(0).read())\n",
    "the memory of another run": """
import os
open("/tmp/runs", "a").write(".")
print("1 4 16" if os.path.getsize("/tmp/runs") % 2 else "1 4 16")
""",
}
