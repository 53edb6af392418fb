"""Mutants of a source file: one small change each, that some test should notice.

Changed are comparisons, arithmetic, logic, numbers, words (strings without a blank), slices,
filters of comprehensions, what is returned, paired functions such as min and max, and statements
that only act (calls, raises). Not changed: messages, prose, docstrings, annotations, decorators,
f-strings, ``__all__``, and arguments for speed, printing or ``zip(strict=...)``: none decides what
comes out.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

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
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_PAIRED = (
    *(("min", "max"), ("any", "all"), ("argmin", "argmax"), ("minimum", "maximum")),
    *(("floor", "ceil"), ("zeros", "ones"), ("sum", "mean"), ("union1d", "intersect1d")),
    *(("left", "right"), ("first", "last"), ("startswith", "endswith"), ("lower", "upper")),
)
_OTHER = {a: b for pair in _PAIRED for a, b in (pair, pair[::-1])}
"""Words and names of functions that are mistaken for one another."""

_ASIDE = ("strict", "repr", "workers", "overwrite_x")
"""Keywords that no result depends on."""

_TINY = 1e-3
"""Smaller numbers are tolerances: doubled they would hardly matter, so they become 0 and 1."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        path: of the file.
        number: its place among the file's mutants.
        name: function, code before and after; the same as long as these are.
        lines: first and last line of the statement.
    """

    path: str
    number: int
    name: str
    lines: tuple[int, int]


@dataclass
class _Site:
    """Where a node hangs (``parent.field``, or an item of that list), and what to hang there."""

    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST
    shown: ast.AST
    scope: str
    lines: tuple[int, int]

    def put(self) -> None:
        """Exchange the node in the tree and the one that is held."""
        slot = getattr(self.parent, self.field)
        if self.index is None:
            setattr(self.parent, self.field, self.new)
            self.new = slot
        else:
            slot[self.index], self.new = self.new, slot[self.index]


def find_mutants(path: str, source: str) -> list[Mutant]:
    """All mutants of a file, in the order of its lines."""
    seen: Counter[str] = Counter()
    found = []
    for number, site in enumerate(_sites(ast.parse(source))):
        before = ast.unparse(site.shown)
        shown = site.new if site.shown is _held(site) else site.shown
        site.put()
        name = f"{site.scope}: {before} → {ast.unparse(shown)}"
        site.put()
        seen[name] += 1
        again = f" ({seen[name]})" if seen[name] > 1 else ""
        found.append(Mutant(path, number, name + again, site.lines))
    return found


def mutated_tree(source: str, number: int) -> ast.Module:
    """The syntax tree of a file with one of its mutants applied."""
    tree = ast.parse(source)
    for place, site in enumerate(_sites(tree)):
        if place == number:
            ast.copy_location(site.new, _held(site))
            site.put()
            return ast.fix_missing_locations(tree)
    raise IndexError(f"there is no mutant {number}")


def _held(site: _Site) -> ast.AST:
    slot = getattr(site.parent, site.field)
    return slot if site.index is None else slot[site.index]


def _sites(tree: ast.Module) -> list[_Site]:
    return list(_below(tree, "module", (1, 1)))


def _below(node: ast.AST, scope: str, lines: tuple[int, int]) -> Iterator[_Site]:
    for field, index, child in _children(node):
        inner, span = scope, lines
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            inner = child.name if scope == "module" else f"{scope}.{child.name}"
        if isinstance(child, ast.stmt):
            span = _header(child)
        shown = _telling(node, child)
        for new in _changes(child):
            yield _Site(node, field, index, new, shown, inner, span)
        yield from _below(child, inner, span)


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    """Every node below one, with its place, but for those that decide nothing."""
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "op", "ops", "ctx"):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not _decides_nothing(child):
                yield field, index, child


def _decides_nothing(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.keyword(arg=name):
            return name in _ASIDE
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
    return False


def _header(node: ast.stmt) -> tuple[int, int]:
    """First and last line of a statement without those that it holds."""
    body = getattr(node, "body", None)
    last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
    return node.lineno, max(node.lineno, last)


def _telling(parent: ast.AST, node: ast.AST) -> ast.AST:
    """What to show of a change: a number or a word alone would not tell where it stands."""
    small = isinstance(node, (ast.Constant, ast.Slice, ast.comprehension)) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)
    )
    if small and isinstance(parent, (ast.expr, ast.keyword)) and len(ast.unparse(parent)) <= 80:
        return parent
    return node


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    match node:
        case ast.stmt():
            yield from _statements(node)
        case ast.Compare() | ast.BinOp() | ast.BoolOp() | ast.UnaryOp():
            yield from _operations(node)
        case ast.Constant(value):
            yield from map(ast.Constant, _constants(value))
        case ast.Call():
            yield from _calls(node)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.Slice(lower, upper, step):
            if lower is not None and not isinstance(lower, ast.Constant):
                yield ast.Slice(None, upper, step)
            if upper is not None and not isinstance(upper, ast.Constant):
                yield ast.Slice(lower, None, step)
        case ast.comprehension(target, over, ifs, is_async) if ifs:
            yield ast.comprehension(target, over, [], is_async)


def _operations(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(left, ops, right):
            for place, op in enumerate(ops):
                for other in _COMPARISONS[type(op)]:
                    yield ast.Compare(left, [*ops[:place], other(), *ops[place + 1 :]], right)
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC and not _joins_text(node):
            yield ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(operand=operand):
            yield operand


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.Return(value) if value is not None and ast.unparse(value) != "None":
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield ast.Pass()
        case ast.AugAssign(target, op, value) if type(op) in _ARITHMETIC:
            yield ast.AugAssign(target, _ARITHMETIC[type(op)](), value)
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()
        case ast.If(test, body, orelse) if isinstance(test, (ast.Name, ast.Call, ast.Attribute)):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)


def _constants(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, float):
        yield from (0.0, 1.0) if 0 < value < _TINY else (2 * value or 1.0,)
    elif isinstance(value, str) and not value.split()[1:]:
        yield _OTHER.get(value, "XX" + value)


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    """A function for its counterpart, and what it is given instead of abs or sorted of it."""
    match node.func:
        case ast.Name(id=name) if name in ("min", "max", "any", "all"):
            yield ast.Call(ast.Name(_OTHER[name], ast.Load()), node.args, node.keywords)
        case ast.Attribute(value=owner, attr=name) if name in _OTHER:
            func = ast.Attribute(owner, _OTHER[name], ast.Load())
            yield ast.Call(func, node.args, node.keywords)
    if ast.unparse(node.func) in ("abs", "np.abs", "np.sort", "np.sqrt"):
        yield node.args[0]
    elif ast.unparse(node.func) in ("sorted", "reversed"):
        yield ast.Call(ast.Name("list", ast.Load()), node.args[:1], [])


def _joins_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )
