"""Python in README and docs runs; what cannot be run here imports what there is, and calls it as it can be called."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module

import pytest
from fenced_blocks import ROOT, Block, blocks_on, pages_with
from prepared_ground import Ground, keep_a_run


@pytest.mark.slow
@pytest.mark.xdist_group("documented")
@pytest.mark.parametrize("page", [page for page in pages_with("python")])
def test_python_runs(page: str, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "own_evaluator")
    # MLflow would start a process for each model that is logged, to find out what it imports
    monkeypatch.setenv("MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT", "1")
    ground.crown("6")
    blocks = blocks_on(page, "python")
    names: dict[str, object] = {"__name__": "documented"}
    if any("scores.parquet" in block.text and not block.not_run for block in blocks):
        keep_a_run(ground.folder, "record")
        monkeypatch.chdir(ground.folder / "record")
    for block in blocks:
        code = compile(block.text, block.where, "exec")
        assert_calls_exist(block)
        if not block.not_run:
            exec(code, names)  # noqa: S102 - the docs' own code
            for name in [name for name in names if name.startswith("test_")]:
                tested = names.pop(name)
                assert callable(tested)
                tested()


def assert_calls_exist(block: Block) -> None:
    """Imports are real; what is reached through an imported module is there, and takes the arguments it is given."""
    tree = ast.parse(block.text)
    roots: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                import_module(one.name)
                roots[one.asname or one.name.partition(".")[0]] = import_module(
                    one.name if one.asname else one.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for one in node.names:
                roots[one.asname or one.name] = getattr(import_module(node.module or ""), one.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (found := _reached(node.func, roots)) is not None:
            given = {word.arg: None for word in node.keywords if word.arg}
            assert callable(found), block.where
            inspect.signature(found).bind_partial(*(None for _ in node.args), **given)


def _reached(node: ast.expr, roots: dict[str, object]) -> object | None:
    if isinstance(node, ast.Name):
        return roots.get(node.id)
    if isinstance(node, ast.Attribute) and (holder := _reached(node.value, roots)) is not None:
        return getattr(holder, node.attr)
    return None
