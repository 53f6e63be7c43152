"""The worker as one text, which a sandbox's Python runs: the modules that run inside, importable from it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_MODULES: Final = ("encoding", "inside", "worker", "worker_scripts", "worker_tests")

_BEGIN: Final = """\
import sys

class Sources:
    texts = {texts!r}

    def find_spec(self, name, path=None, target=None):
        if name in self.texts:
            return type(sys.__spec__)(name, self, is_package=not self.texts[name])

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        exec(compile(self.texts[name], name, "exec", dont_inherit=True), module.__dict__)

sys.meta_path.insert(0, Sources())
from sandboxed.worker import main
main()
"""


def _shipped() -> str:
    texts = {f"sandboxed.{name}": Path(__file__).with_name(f"{name}.py").read_text("utf-8") for name in _MODULES}
    return _BEGIN.replace("{texts!r}", repr({"sandboxed": "", **texts}))


WORKER: Final = _shipped()
"""For `Backend.start`. It needs nothing of this package where it runs."""
