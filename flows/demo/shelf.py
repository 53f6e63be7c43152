"""Folders that are either complete or absent: what takes long is made once, and never found half made."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shelf:
    """Finished folders below `folder`, each with the key of what it was made from in `.keys`.

        shelf.put("base", key="9f2c...", write=train_into)      # True: made; False: was there, with this key

    Two processes that put the same part at once both make it, and one of the results stays. A killed process
    may leave its hidden working folder behind; nothing reads it.
    """

    folder: Path

    def put(self, part: str, key: str, write: Callable[[Path], None]) -> bool:
        """Let `write` fill a new, empty folder and put it in place of `part`, unless that has the same key.

        Raises:
            OSError: the folder cannot be written. What `write` raises passes through, and nothing changes.
        """
        target, key_file = self.folder / part, self.folder / ".keys" / part
        if target.is_dir() and key_file.is_file() and key_file.read_text(encoding="utf-8") == key:
            return False
        work = self.folder / f".{part}-{os.getpid()}-{secrets.token_hex(4)}"
        old, fresh_key = work.with_name(f"{work.name}-old"), work.with_name(f"{work.name}-key")
        key_file.parent.mkdir(parents=True, exist_ok=True)
        work.mkdir()
        try:
            write(work)
            fresh_key.write_text(key, encoding="utf-8")
            key_file.unlink(missing_ok=True)  # from here to the last line a kill means: make it again
            if target.exists():
                target.rename(old)
            work.rename(target)
            fresh_key.replace(key_file)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
            fresh_key.unlink(missing_ok=True)
        return True
