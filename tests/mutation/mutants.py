"""Faults put into a module on purpose: every operator of Cosmic Ray, and three of our own.

Cosmic Ray changes operators, comparisons, numbers, ``and``, ``or``, ``not``, loops and decorators. A decision is made
of words as well, so ours change those: one outcome, verdict, role or side for another; a condition for True or False;
a statement for nothing.

What cannot change what runs is no fault, and is left out and counted: annotations, types' other names, documentation,
slots of data to which nothing is ever added, and ``is`` or an order in place of ``==`` beside a word. CPython keeps one
object for equal words of source code, and that words have an order at all is no mistake that a decision can make.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

OTHER_WORD = {
    "passed": "failed",
    "failed": "passed",
    "inconclusive": "passed",
    "unmeasured": "passed",
    "waived": "passed",
    "promote": "hold",
    "hold": "promote",
    "block": "hold",
    "approve": "block",
    "at least": "at most",
    "at most": "at least",
    "base": "champion",
    "champion": "base",
    "none": "some",
    "pair": "model",
    "min": "max",
    "max": "min",
    "max_change": "min_change",
    "min_relative_change": "min_change",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one fault. ``line`` is where; ``change`` says what."""

    operator: str
    line: int
    change: str
    source: str


def mutants_of(source: str) -> tuple[list[Mutant], int]:
    """Every different mutant, and how many changes were left out because nothing that runs is another."""
    known = {_what_runs(source)}
    left_out = 0
    found: list[Mutant] = []
    for operator, changed in (*_of_cosmic_ray(source), *_of_words(source)):
        try:
            runs = _what_runs(changed)
        except SyntaxError:
            continue
        if runs in known:
            left_out += 1
            continue
        known.add(runs)
        line, change = _difference(source, changed)
        found.append(Mutant(operator, line, change, changed))
    return found, left_out


def _of_cosmic_ray(source: str) -> Iterator[tuple[str, str]]:
    from cosmic_ray.ast import Visitor, get_ast
    from cosmic_ray.operators.provider import OperatorProvider

    class Change(Visitor):
        def __init__(self, operator: object, wanted: int) -> None:
            self.operator, self.wanted, self.seen = operator, wanted, 0

        def visit(self, node: object) -> object:
            for index, _ in enumerate(self.operator.mutation_positions(node)):  # type: ignore[attr-defined]
                if self.seen == self.wanted:
                    node = self.operator.mutate(node, index)  # type: ignore[attr-defined]
                self.seen += 1
            return node

    provider = OperatorProvider()
    for name in provider:
        if name in ("VariableReplacer", "VariableInserter"):  # draw at random, and want names to work on
            continue
        wanted = 0
        while True:
            change = Change(provider[name](), wanted)
            changed = change.walk(get_ast(source)).get_code()
            if change.seen <= wanted:
                break
            yield name, changed
            wanted += 1


def _of_words(source: str) -> Iterator[tuple[str, str]]:
    tree = ast.parse(source)
    types = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Subscript) for inner in ast.walk(node.slice)}
    for at, node in enumerate(ast.walk(tree)):
        if isinstance(node, ast.Constant) and node.value in OTHER_WORD and id(node) not in types:
            yield "OtherWord", _with(tree, at, ast.Constant(OTHER_WORD[str(node.value)]))
        elif isinstance(node, (ast.If, ast.IfExp, ast.comprehension)):
            for told in (True, False):
                if isinstance(node, ast.comprehension):
                    if node.ifs:
                        yield f"Condition{told}", _with(tree, at, ast.Constant(told), "ifs")
                else:
                    yield f"Condition{told}", _with(tree, at, ast.Constant(told), "test")
        elif isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)) and not _is_text(node):
            yield "NoStatement", _with(tree, at, ast.Pass())


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _with(tree: ast.Module, at: int, new: ast.AST, part: str | None = None) -> str:
    """The source of ``tree`` where the node in place ``at``, or a part of it, is ``new``."""
    changed = copy.deepcopy(tree)
    target = list(ast.walk(changed))[at]
    if part == "ifs":
        setattr(target, part, [new])
    elif part is not None:
        setattr(target, part, new)
    else:
        for parent in ast.walk(changed):
            for name, value in ast.iter_fields(parent):
                if value is target:
                    setattr(parent, name, new)
                elif isinstance(value, list) and any(one is target for one in value):
                    setattr(parent, name, [new if one is target else one for one in value])
    return ast.unparse(ast.fix_missing_locations(changed))


_SAME_BESIDE_A_WORD: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Is: ast.Eq,
    ast.LtE: ast.Eq,
    ast.GtE: ast.Eq,
    ast.IsNot: ast.NotEq,
    ast.Lt: ast.NotEq,
    ast.Gt: ast.NotEq,
}


class _WithoutWords(ast.NodeTransformer):
    """Annotations are never evaluated here (``from __future__ import annotations``), and documentation is not run.

    The rest is as the module says.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        self.generic_visit(node)
        value = node.value
        named = isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id == "Literal"
        return None if named else node

    def visit_keyword(self, node: ast.keyword) -> ast.AST | None:
        return None if node.arg == "slots" else self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in (node.left, *node.comparators)):
            node.ops = [_SAME_BESIDE_A_WORD.get(type(op), type(op))() for op in node.ops]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if _is_text(node) else self.generic_visit(node)


def _what_runs(source: str) -> str:
    return ast.dump(_WithoutWords().visit(ast.parse(source)))


def _difference(source: str, changed: str) -> tuple[int, str]:
    """Compared in one spelling, and said by the line of the source that is nearest."""
    before = ast.unparse(ast.parse(source)).splitlines()
    after = ast.unparse(ast.parse(changed)).splitlines()
    at = next((at for at, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), 0)
    old, new = before[at].strip(), after[at].strip() if at < len(after) else ""
    numbers = [number for number, line in enumerate(source.splitlines(), 1) if old[:40] in line]
    return (numbers[0] if numbers else at), f"{old}  ->  {new}"
