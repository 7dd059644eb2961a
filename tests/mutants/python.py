"""Mistakes in Python: in conditions, limits and constants, and omissions.

No test could find a change in annotations, docstrings, texts for people and the log, type
definitions and the layout of dataclasses, so these are left unchanged.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.mutants.patterns import spoilt_patterns

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
_OF_TYPES = {"annotation", "returns"}
_MAKES_TYPES = {"NewType", "TypeVar", "Generic", "Protocol"}
_CONDITIONS = {"test", "ifs"}
_LAYOUT = {"slots", "kw_only"}


@dataclass(frozen=True)
class Mutant:
    """The source of a whole module with one mistake."""

    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.before}  →  {self.after}"


@dataclass(frozen=True)
class _Place:
    """A node of the tree, and a function that replaces it."""

    node: ast.AST
    is_condition: bool
    put: Callable[[ast.AST], None]


def python_mutants(source: str) -> Iterator[Mutant]:
    tree = ast.parse(source)
    for place in list(_places(tree)):
        for changed in _mistakes(place):
            ast.copy_location(changed, place.node)
            place.put(ast.fix_missing_locations(changed))
            yield Mutant(
                line=getattr(place.node, "lineno", 0),
                before=_words(place.node),
                after=_words(changed),
                source=ast.unparse(tree),
            )
            place.put(place.node)


def _words(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 100 else f"{text[:97]}…"


def _places(parent: ast.AST, *, said: bool = False) -> Iterator[_Place]:
    """`said` is true within a `raise`, where strings are texts for the log."""
    for name, value in ast.iter_fields(parent):
        if name in _OF_TYPES:
            continue
        for put, node in _children(parent, name, value):
            if not _nobody_could_notice(node, said=said):
                yield _Place(node, name in _CONDITIONS, put)
                if not _is_of_patterns(node):
                    yield from _places(node, said=said or isinstance(node, ast.Raise))


def _children(
    parent: ast.AST, name: str, value: Any
) -> Iterator[tuple[Callable[[ast.AST], None], ast.AST]]:
    if isinstance(value, ast.AST):
        yield lambda node: setattr(parent, name, node), value
    for index, node in enumerate(value) if isinstance(value, list) else ():
        if isinstance(node, ast.AST):
            yield lambda node, index=index: value.__setitem__(index, node), node  # type: ignore[misc]


def _nobody_could_notice(node: ast.AST, *, said: bool) -> bool:
    if said and isinstance(node, ast.Constant) and isinstance(node.value, str):
        return True
    return _is_not_run(node)


def _is_not_run(node: ast.AST) -> bool:
    match node:
        case ast.keyword(arg=name):
            return name in _LAYOUT
        case ast.Expr(value=ast.Constant()):  # a docstring, or `...`
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _MAKES_TYPES
        case ast.Subscript(value=ast.Name(id="Literal")) | ast.JoinedStr():
            return True
        case ast.ImportFrom() | ast.Import() | ast.alias():
            return True
    return False


def _mistakes(place: _Place) -> Iterator[ast.AST]:
    node = place.node
    if place.is_condition:
        yield ast.Constant(value=True)
        yield ast.Constant(value=False)
    if isinstance(node, ast.expr):
        yield from _other_expressions(node)
    elif isinstance(node, ast.stmt):
        yield from _other_statements(node)
    elif isinstance(node, ast.ExceptHandler) and node.type is not None:
        yield _with(node, type=ast.Tuple(elts=[], ctx=ast.Load()))


def _other_expressions(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.Compare():
            yield from _other_comparisons(node)
        case ast.BoolOp() | ast.UnaryOp() | ast.BinOp():
            yield from _other_operations(node)
        case ast.Call():
            yield from _other_calls(node)
        case ast.Tuple() | ast.List() | ast.Set() if len(node.elts) > 1:
            for index in range(len(node.elts)):
                yield _with(node, elts=_without(node.elts, index))
        case ast.Dict(keys=keys, values=values):
            for index in range(len(values)):
                yield _with(node, keys=_without(keys, index), values=_without(values, index))
        case ast.Slice(upper=ast.expr()):
            yield _with(node, upper=None)
        case ast.Constant():
            yield from (ast.Constant(value=other) for other in _other_values(node.value))


def _other_operations(node: ast.BoolOp | ast.UnaryOp | ast.BinOp) -> Iterator[ast.AST]:
    match node:
        case ast.BoolOp(op=operator, values=values):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
            for index in range(len(values)):
                yield _with(node, values=_without(values, index))
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield _with(node, op=_ARITHMETIC[type(node.op)]())


def _other_comparisons(node: ast.Compare) -> Iterator[ast.AST]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            yield _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])


def _other_calls(node: ast.Call) -> Iterator[ast.AST]:
    for index, keyword in enumerate(node.keywords):
        if keyword.arg not in _LAYOUT:
            yield _with(node, keywords=_without(node.keywords, index))
    match node.args:
        case [ast.Constant(value=str() | bytes() as pattern), *rest] if _is_of_patterns(node):
            for other in _other_patterns(pattern):
                yield _with(node, args=[ast.Constant(value=other), *rest])
        case [one, ast.BinOp(op=ast.BitOr()) as types]:  # isinstance
            for kept in (types.left, types.right):
                yield _with(node, args=[one, kept])


def _is_of_patterns(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
    )


def _other_patterns(pattern: str | bytes) -> Iterator[str | bytes]:
    if isinstance(pattern, str):
        yield from spoilt_patterns(pattern)
    else:
        yield from (other.encode() for other in spoilt_patterns(pattern.decode()))


def _other_statements(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield ast.Return(value=ast.Constant(value=None))
        case (
            ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Delete() | ast.Break() | ast.Continue()
        ):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _other_values(value: object) -> Iterator[Any]:
    match value:
        case bool():
            yield not value
        case int():
            yield from (value - 1, value + 1)
        case float():
            yield from (value / 2, value * 2)
        case str() if value and " " not in value:
            yield f"{value}x"
        case bytes() if value and b" " not in value:
            yield value + b"x"


def _without(values: list[Any], index: int) -> list[Any]:
    return values[:index] + values[index + 1 :]


def _with(node: ast.AST, **changes: Any) -> ast.AST:
    """A copy of the node with other fields."""
    return type(node)(**{**dict(ast.iter_fields(node)), **changes})
