"""Every small change of a module: its operators, signs, operands, constants, orders and calls."""

import ast
import copy
from itertools import product
from typing import NamedTuple

OTHER_OPERATORS = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
# What an error says, types in annotations and overloads, and what is asserted for the type checker
# are no part of what is computed.
NO_PART = (ast.Assert, ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)
NO_FIELD = ("annotation", "returns")
# zip(…, strict=True) finds a mistake in the lines around it: where there is none, it is the same.
NO_KEYWORD = ("strict",)
# Their order is the order of tables and no more.
REGISTRIES = ("CELLS", "ABLATIONS", "SOUND_ALIKE", "__all__")


class Mutant(NamedTuple):
    """One change, named by the text of the line and not its number: other edits leave it alone."""

    module: str
    function: str
    old: str
    new: str


def mutants(module, tree):
    """Make each change in the tree of a module, yield its `Mutant`, and take it back."""
    yield from _in_block(tree.body, module, "", [_groups(tree)])


def _in_block(block, module, function, scopes):
    for k, statement in enumerate(block):
        if isinstance(statement, NO_PART) or _is_overload(statement):
            continue
        old = _line(statement)
        seen = {old}
        for decorator in tuple(getattr(statement, "decorator_list", ())):
            at = statement.decorator_list.index(decorator)
            del statement.decorator_list[at]
            yield Mutant(module, function, f"@{ast.unparse(decorator)}", old)
            statement.decorator_list.insert(at, decorator)
        for box, key, other in _changes(statement, scopes):
            box[key], before = other, box[key]
            new = _line(statement)
            if new not in seen and not (_is_registry(statement) and sorted(new) == sorted(old)):
                seen.add(new)
                yield Mutant(module, function, old, new)
            box[key] = before
        if isinstance(statement, ast.AugAssign):
            block[k] = ast.Assign([statement.target], statement.value, lineno=statement.lineno)
            yield Mutant(module, function, old, _line(block[k]))
            block[k] = statement
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            block[k] = ast.Pass(lineno=statement.lineno)
            yield Mutant(module, function, old, "pass")
            block[k] = statement
        inner, within = function, scopes
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            inner = f"{function}.{statement.name}".lstrip(".")
            within = [_groups(statement), *scopes]
        parts = [statement, *getattr(statement, "handlers", ())]
        for part, name in product(parts, ("body", "orelse", "finalbody")):
            yield from _in_block(getattr(part, name, []), module, inner, within)


def _is_overload(statement):
    return "overload" in map(ast.unparse, getattr(statement, "decorator_list", ()))


def _is_registry(statement):
    targets = getattr(statement, "targets", ())
    return any(isinstance(t, ast.Name) and t.id in REGISTRIES for t in targets)


def _line(statement):
    """Its first line, without decorators."""
    if getattr(statement, "decorator_list", ()):
        statement = copy.copy(statement)
        statement.decorator_list = []
    return ast.unparse(statement).splitlines()[0]


def _groups(scope):
    """Names that stand for things of one kind: arguments, values unpacked together, the rest."""
    groups, single = [], []
    for node in ast.walk(scope):
        if node is scope and isinstance(node, ast.FunctionDef):
            groups.append([a.arg for a in node.args.args])
        if isinstance(node, ast.ImportFrom):
            groups.append([a.name for a in node.names])
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Tuple):
                groups.append([e.id for e in ast.walk(target) if isinstance(e, ast.Name)])
            elif isinstance(target, ast.Name):
                single.append(target.id)
    return [*groups, single]


def _changes(node, scopes):
    """Every (box, key, other) where `box[key] = other` is one change inside this node."""
    for field, value in list(ast.iter_fields(node)):
        if field in NO_FIELD or getattr(node, "arg", None) in NO_KEYWORD:
            continue
        box = value if isinstance(value, list) else vars(node)
        for key in range(len(value)) if isinstance(value, list) else [field]:
            child = box[key]
            for other in OTHER_OPERATORS.get(type(child), ()):
                yield box, key, other()
            if isinstance(child, ast.expr):
                for other in _others(child, node, field, scopes):
                    yield box, key, other
            if isinstance(child, ast.AST) and not isinstance(child, (ast.stmt, *NO_PART)):
                yield from _changes(child, scopes)
        # Neighbors in a tuple, in a list, or among arguments change places; a set has no order.
        if field in ("elts", "args") and isinstance(value, list) and not isinstance(node, ast.Set):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("min", "max"):
                continue
            for k in range(len(value) - 1):
                yield vars(node), field, value[:k] + value[k : k + 2][::-1] + value[k + 2 :]


def _others(node, parent, field, scopes):
    """What may stand in place of an expression."""
    if field in ("test", "ifs"):
        yield ast.UnaryOp(ast.Not(), node)
    if _has_sign(node, parent, field):
        yield ast.UnaryOp(ast.USub(), node)
    if isinstance(parent, ast.Slice) and not isinstance(node, ast.Constant):
        yield ast.BinOp(node, ast.Add(), ast.Constant(1))
        yield ast.BinOp(node, ast.Sub(), ast.Constant(1))
    match node:
        case ast.BinOp():
            yield from (node.left, node.right)
        case ast.UnaryOp():
            yield node.operand
        case ast.BoolOp(op, values):
            for k in range(len(values)):
                rest = values[:k] + values[k + 1 :]
                yield ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Name(name, ast.Load()):
            for other in _neighbors(name, scopes):
                yield ast.Name(other, ast.Load())


def _has_sign(node, parent, field):
    """Whether a minus before it may matter; a truth value and a length have no sign."""
    match parent:
        case ast.BinOp() if isinstance(node, ast.Call | ast.Attribute | ast.Subscript):
            return True
        case ast.UnaryOp(ast.Not()) | ast.Attribute() | ast.Call(ast.Name("len" | "isinstance")):
            return False
        case ast.Subscript() if field == "value":
            return False
    name = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    return name and field not in ("func", "test", "ifs")


def _neighbors(name, scopes):
    """The names before and after it in every group of the innermost scope that has it."""
    for groups in scopes:
        if found := [list(dict.fromkeys(group)) for group in groups if name in group]:
            places = [(group, group.index(name)) for group in found]
            near = [g[(k + way) % len(g)] for g, k in places for way in (-1, 1)]
            return [other for other in dict.fromkeys(near) if other != name]
    return ()
