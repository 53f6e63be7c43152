"""Whether what is about to be promoted is what was judged: the candidate's files, hashed again where they come from.

files_changed(resolved, progress)   # None, or "the files of support-bot v7 are others: digest changed (found ...)"

Only the candidate's are: base and champion were measured, and are not about to serve.
"""

from __future__ import annotations

from finetune_gate.evaluators.errors import ModelFilesError, Problem, RegistryError

from ..models.inspecting import inspect_again
from ..progress import Progress
from ..registry.artifacts import brought_anew, local_path
from ..registry.mlflow_client import NotInRegistry, plain
from .states import Resolved


def files_changed(resolved: Resolved, progress: Progress) -> str | None:
    """How the candidate's files differ from those that were judged; None where they do not.

    They are looked up in the registry as whoever serves the version would: files on this machine are hashed where they
    lie, others are downloaded once more, hashed, and deleted. Raises RegistryError where that cannot be told: registry
    or the store does not answer, or a file is there and cannot be read.
    """
    pin, registry = resolved.pins.candidate, resolved.registry
    expected = pin.files.files_digest
    if pin.files.root is None or pin.name is None or pin.version is None:
        return None
    version = registry.version(pin.name, pin.version)
    try:
        address = registry.place(version).address
        if local_path(address) is None:
            progress.say(f"  download the files of {pin.label} once more, to see that they are those that were judged")
        with brought_anew(registry.connection, address, resolved.downloads) as folder:
            now = inspect_again(pin, folder)
    except (NotInRegistry, ModelFilesError) as error:
        problem = error.problems[0]
        found = plain(f"{problem.where}: {problem.found}", 200)
    except FileNotFoundError as error:
        found = plain(f"{error.filename} was deleted", 200)
    except OSError as error:
        raise RegistryError(
            Problem(
                f"files of {pin.label}",
                f"they cannot be read again: {plain(str(error))}",
                "to see that they are still those that were judged",
                "see what is wrong with the store, and run again; nothing was moved",
            )
        ) from error
    else:
        if now == expected:
            return None
        found = now[:12]
    return f"the files of {pin.label} are others: digest changed (found {found}, expected {expected[:12]})"
