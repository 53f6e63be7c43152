"""A first gate file, from a look at the registry and at the data: what ``finetune-gate init`` writes.

    files = find_files(None, Path("."))                        # or the file that a person named
    registered = look_at_registry(None, None)                  # raises RegistryError where nobody answers
    start = start_from(holdout, None, registered, "")
    text = gate_file_text(start)

Looking and writing are apart: `start_from` and `gate_file_text` are pure.
"""

from .beginning import start_from
from .columns import source_of
from .files import Files, find_files
from .found import Start
from .registered import RegisteredModel, look_at_registry
from .text import gate_file_text

__all__ = [
    "Files",
    "RegisteredModel",
    "Start",
    "find_files",
    "gate_file_text",
    "look_at_registry",
    "source_of",
    "start_from",
]
