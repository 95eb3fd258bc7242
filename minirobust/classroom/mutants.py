"""Automatic mutants: a right solution with one node of its syntax tree changed, as by a slip of the pen."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator

BINARY: dict[type, list[type]] = {
    ast.Add: [ast.Sub, ast.Mult],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div, ast.Add],
    ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.FloorDiv: [ast.Mult],
    ast.MatMult: [],
}
COMPARED: dict[type, type] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.Gt,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
Edit = Callable[[ast.AST], ast.AST]


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Yield a description and the source of each mutant."""
    tree = ast.parse(source)
    for index, node in enumerate(ast.walk(tree)):
        for what, edit in _edits(node):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[index]
            mutant = ast.fix_missing_locations(_Replace(target, edit(target)).visit(changed))
            place = f"{getattr(node, 'lineno', 0)}:{getattr(node, 'col_offset', 0)}"
            yield f"{place} {what} in {ast.unparse(node)}", ast.unparse(mutant)


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _edits(node: ast.AST) -> Iterator[tuple[str, Edit]]:
    """Yield the changes of a node: a description, and the function that makes the change."""
    match node:
        case ast.BinOp(op=op):
            for other in BINARY.get(type(op), []):
                yield f"{other.__name__} for {type(op).__name__}", _with(op=other())
            yield "left operand alone", lambda node: node.left  # type: ignore[attr-defined]
            yield "right operand alone", lambda node: node.right  # type: ignore[attr-defined]
        case ast.UnaryOp(op=ast.USub()):
            yield "minus dropped", lambda node: node.operand  # type: ignore[attr-defined]
        case ast.AugAssign(op=ast.Add()):
            yield "= for +=", lambda node: ast.Assign([node.target], node.value)  # type: ignore[attr-defined]
        case ast.Constant(value=bool(value)):
            yield f"{not value} for {value}", _with(value=not value)
        case ast.Constant(value=int(value) | float(value)):
            yield f"{value + 1} for {value}", _with(value=value + 1)
        case ast.Compare(ops=[op]) if type(op) in COMPARED:
            yield f"{COMPARED[type(op)].__name__} for {type(op).__name__}", _with(ops=[COMPARED[type(op)]()])
        case ast.Call(args=[_]) if ast.unparse(node.func) in ("abs", "np.abs", "np.sign", "len", "np.exp", "np.log"):
            yield f"{ast.unparse(node.func)} dropped", lambda node: node.args[0]  # type: ignore[attr-defined]
        case ast.Attribute(attr="T"):
            yield "transpose dropped", lambda node: node.value  # type: ignore[attr-defined]


def _with(**fields: object) -> Edit:
    def edit(node: ast.AST) -> ast.AST:
        for name, value in fields.items():
            setattr(node, name, value)
        return node

    return edit
