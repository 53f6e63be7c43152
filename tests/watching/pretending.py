"""Stands in for `finetune-gate` where a test is about its process: `python pretending.py DEED FOLDER run GATE ...`.

Writes its arguments to FOLDER, one file for each process; then DEED is done.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

deed, folder = sys.argv[1], Path(sys.argv[2])
seen = {"arguments": sys.argv[3:], "environment": dict(os.environ), "pid": os.getpid()}


def tell() -> None:
    (folder / f"part-{uuid.uuid4().hex}").write_text(json.dumps(seen))
    for part in folder.glob("part-*"):
        part.rename(folder / f"told-{part.name.removeprefix('part-')}.json")


match deed:
    case "promote":
        tell()
        time.sleep(0.3)
        print(json.dumps({"decision": "promote", "sentence": "Good."}))
    case "misconfigured":
        tell()
        print(json.dumps({"errors": [{"where": "gate.yaml:3", "found": "no such column"}]}))
        sys.exit(2)
    case "fail":
        tell()
        print("first line\n\x1b[31mlast line", file=sys.stderr)
        sys.exit(4)
    case "hang":
        tell()
        time.sleep(600)
    case "hang on":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        seen["child"] = child.pid
        tell()
        time.sleep(600)
