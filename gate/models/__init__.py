"""Models that answer requests: local Hugging Face models and PEFT adapters, and a fake for tests.

    with open_models(pins) as models:
        models["candidate"].score(requests, deliver)

Inspect files with ``finetune_gate.gate.models.model_files.inspect_model_files`` before they are opened here.
"""

from .fake import FakeModel
from .identity import effective_digest
from .opening import open_models
from .protocol import Deliver, JsonScalar, Model

__all__ = ["Deliver", "FakeModel", "JsonScalar", "Model", "effective_digest", "open_models"]
