"""From a version's folder to what can be asked: files that are loaded here, a model behind an API, or Python code.

    source = inspect_model(Path("downloads/support-bot-3"), trust_code=False, servers=Servers())
    inspect_again(pin)       # later: the digest of what lies there now

Only data is read, whatever the version holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finetune_gate.evaluators.errors import ModelFilesError, Problem

from ..pins import ModelPin, ModelSource, PythonModel
from .addresses import Servers
from .encoder_files import inspect_encoder, is_encoder
from .manifest import Manifest, hash_files, list_files, listed
from .mlmodel import read_flavors
from .model_files import digest_files, inspect_model_files
from .openai_flavor import read_openai_flavor


def inspect_model(
    root: Path,
    *,
    allow_files: Sequence[str] = (),
    trust_code: bool = False,
    servers: Servers | None = None,
    encoders: bool = False,
) -> ModelSource:
    """What the version in ``root`` is, by its flavors: transformers, openai, any other that MLflow loads as a Python
    function (scikit-learn among them); without ``MLmodel``, a folder of model files.

    ``trust_code``: whether a version that is Python code may be pinned; nothing of it runs here. ``servers``: where the
    openai flavor's requests go. ``encoders``: whether it may be an encoder, as judges may; else one is refused for what
    it lacks. Raises ModelFilesError, and ConfigurationError for an ``OPENAI_BASE_URL`` that cannot be used.
    """
    manifest = list_files(root)
    flavors = read_flavors(manifest)
    if encoders and is_encoder(manifest):
        return inspect_encoder(root, allow_files=allow_files)
    if "transformers" in flavors:
        return inspect_model_files(root, allow_files=allow_files)
    if "openai" in flavors:
        digest = digest_files(manifest, hash_files(manifest))
        return read_openai_flavor(manifest, flavors["openai"], tuple(allow_files), digest, servers or Servers())
    if "python_function" in flavors and not {"config.json", "adapter_config.json"} & set(manifest.within("")):
        if not trust_code:
            raise _untrusted(manifest, sorted(flavors))
        by_sklearn = flavors["python_function"].get("loader_module") == "mlflow.sklearn" and "sklearn" in flavors
        digest = digest_files(manifest, hash_files(manifest))
        return PythonModel(manifest.root, "sklearn" if by_sklearn else "python_function", digest, manifest.total_bytes)
    return inspect_model_files(root, allow_files=allow_files)


def inspect_again(pin: ModelPin, at: Path | None = None) -> str:
    """The digest of the files that lie where ``pin`` found them, or in folder ``at``, to compare with
    ``pin.files.files_digest``: equal unless one was added, removed or changed. A model that is an address alone has no
    files to change.

    Raises ModelFilesError where they can no longer be listed, OSError where they can no longer be read.
    """
    if pin.files.root is None:
        return pin.files.files_digest
    manifest = list_files(at or pin.files.root)
    return digest_files(manifest, hash_files(manifest))


def _untrusted(manifest: Manifest, flavors: Sequence[str]) -> ModelFilesError:
    return ModelFilesError(
        Problem(
            str(manifest.root),
            f"is Python code to MLflow (flavors {listed(flavors)}): loading it would run its author's code, and it is"
            " not trusted here",
            "the transformers or openai flavor, a Hugging Face or PEFT folder; or code that the gate file trusts",
            "if everyone who can register versions of it may run code on this machine: `trust: code` in the gate file,"
            " for the gated model itself and for models that the gate file names; a claim never makes code trusted",
        )
    )
