"""The JSON schema of gate files, for editors that complete and check them.

# yaml-language-server: $schema=gate-file.schema.json
"""

from __future__ import annotations

from typing import Any

from finetune_gate.evaluators.catalog import BUILT_IN, evaluator_class

from .settings import GateFile


def gate_file_schema() -> dict[str, Any]:
    """Draft 2020-12. Every evaluator is one key with its own settings; unknown keys are errors everywhere."""
    schema = GateFile.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    entries: dict[str, Any] = {}
    for kind in BUILT_IN:
        settings = evaluator_class(kind).model_json_schema()
        definitions |= settings.pop("$defs", {})
        definitions[f"evaluator.{kind}"] = settings
        entries[kind] = {"$ref": f"#/$defs/evaluator.{kind}"}
    schema["properties"]["evaluators"]["items"] = {
        "type": "object",
        "properties": entries,
        # evaluators of one's own: package.module:Class, or the name under which a package lists one
        "patternProperties": {":": {"type": "object"}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    sources = {"anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/DatasetSource"}]}
    schema["properties"]["data"]["additionalProperties"] = sources
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "finetune-gate gate file",
        **{key: value for key, value in schema.items() if key != "title"},
    }
