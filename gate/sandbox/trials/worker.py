"""What runs inside a sandbox: it loads a program and answers calls of it, runs it as a script, or runs tests.

This file is sent as text, with ``encoding.py`` before it (`shipping`), to a Python that may be any from 3.8 on and has
the standard library only. It takes its channel from the file descriptors 0 and 1, points both, and 2, at nothing, and
says ``hello``. Then it gets one of three orders, and says ``begun`` before any foreign line runs, so that whoever waits
knows whose fault an end before that is:

    load NUMBER SOURCE                     -> returned or raised; then: call NUMBER NAME ARGUMENTS KEYWORDS
                                              -> returned NUMBER VALUE CHANGED, raised NUMBER TYPE MADE_OF SAID,
                                              or unsent NUMBER WHY
    scripts                                -> nothing; then: script NUMBER SOURCE INPUT LIMIT
                                              -> printed NUMBER STATUS OUTPUT ERRORS
    tests SOURCE REFERENCE ENTRY_POINT     -> call ARGUMENTS KEYWORDS, to be answered; at last: verdict KIND SAID

Nothing here keeps a program from doing to its own process what it likes. It need not: what a program could forge is the
values that it returns, which are its own to choose, and whether they are right is found out elsewhere.
"""

from __future__ import annotations

import builtins
import os
import sys

from .encoding import Unplain, decode, encode, pack
from .inside import LONGEST, Channel, executed, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    channel = Channel(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    builtins.exit = builtins.quit = sys.exit  # as ``site`` does, which may not have run
    channel.send(["hello"])
    order = channel.receive()
    if order[0] == "load":
        run = _serve
    elif order[0] == "scripts":
        from .worker_scripts import run_scripts as run
    else:
        from .worker_tests import run_tests as run
    channel.send(["begun"])
    run(channel, *order[1:])


def _serve(channel: Channel, number: str, source: str) -> None:
    try:
        names = executed(source, "program").__dict__
    except BaseException as error:  # noqa: BLE001 (the border to foreign code: whatever it raises is told)
        channel.send(["raised", number, *told(error)])
        return
    channel.send(["returned", number, None, None])
    while True:
        _, number, name, given, keywords = channel.receive()
        try:
            answer = _called(names, name, decode(given), decode(keywords))
        except BaseException as error:  # noqa: BLE001 (as above)
            answer = ["raised", *told(error)]
        channel.send([answer[0], number, *answer[1:]])


def _called(names: dict[str, Any], name: str, given: list[Any], keywords: dict[str, Any]) -> list[Any]:
    """What the function made of its arguments, and the arguments if it changed them."""
    if name not in names:  # no exception, which tests may be about
        return ["unsent", f"defines no {name!r}"]
    before = encode([given, keywords])
    value = names[name](*given, **keywords)
    try:
        returned, after = encode(value), encode([given, keywords])
        if len(pack([returned, after])) > LONGEST:
            return ["unsent", f"returned more than {LONGEST} bytes"]
    except Unplain as error:
        return ["unsent", f"returned {error}, or made an argument so"]
    return ["returned", returned, after if after != before else None]
