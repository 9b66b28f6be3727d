"""The types that `companion/py.typed` promises: every public function says what it takes and gives.

Whether they are right is checked by mypy, in `make lint`.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from functools import cached_property
from pathlib import Path
from types import FunctionType, ModuleType
from typing import get_type_hints

import pytest

import companion

# The two functions of a cell stand as chapter 2 and 3 derive them; `Cell.step` has their types.
FORMULAS = {f"companion.cells.{name}" for name in ("coupled", "gru", "lstm", "mgu", "rnn", "slstm")}
# What engines and layers are made of, and compiled functions: no one outside calls them.
INSIDE = {
    "companion.engine.loops",
    "companion.engine.parts",
    "companion.engine.product",
    "companion.engine.scalar",
    "companion.engine.threads",
    "companion.nn.batch_layout",
    "companion.nn.checks",
    "companion.nn.cuda_graphs",
    "companion.nn.direct",
    "companion.nn.function",
    "companion.nn.operators",
    "companion.nn.projection",
    "companion.nn.torch_loops",
    "companion.train.batch",
    "companion.train.processes",
    "companion.train.run",
    "companion.train.saving",
}
MODULES = sorted(
    {module.name for module in pkgutil.walk_packages(companion.__path__, "companion.")}
    - FORMULAS
    - INSIDE
)


def functions(scope, name):
    """The public functions of a module or class, its constructor and what calls it among them."""
    for key, value in vars(scope).items():
        if key.startswith("_") and key not in ("__init__", "__call__"):
            continue
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        if isinstance(value, property):
            value = value.fget
        if isinstance(value, cached_property):
            value = value.func
        value = inspect.unwrap(value) if callable(value) else value
        if getattr(value, "__module__", None) != name:
            continue
        if isinstance(value, type):
            yield from functions(value, name)
        # Dataclasses and NamedTuples write methods of their own, out of no file.
        elif isinstance(value, FunctionType) and not value.__code__.co_filename.startswith("<"):
            yield value


def names_for_types(module):
    """Its names, and those that it imports for type checkers alone."""
    names = dict(vars(module))
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(ast.unparse(ast.Module(node.body, [])), names)
    return names


def lacking(module):
    """What is without a type, or with one that does not resolve: a list of strings."""
    names, found = names_for_types(module), []
    for function in functions(module, module.__name__):
        hints = get_type_hints(function, names)
        inside_class = "." in function.__qualname__
        wanted = list(inspect.signature(function).parameters)[inside_class:] + ["return"]
        found += [f"{function.__qualname__}: {name}" for name in wanted if name not in hints]
    return found


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_have_types_that_resolve(name):
    assert lacking(importlib.import_module(name)) == []


def test_the_exceptions_are_modules():
    assert {module.name for module in pkgutil.walk_packages(companion.__path__, "companion.")} >= (
        FORMULAS | INSIDE
    )


MADE_UP = """
from __future__ import annotations
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from decimal import Decimal
def whole(a: int, b: Decimal) -> int: ...
def half(a: int, b, *, c=0): ...
def _private(a): ...
@cache
def kept(a: int): ...
@dataclass
class Thing:
    size: int
    def __call__(self, a) -> int: ...
    @classmethod
    def made(cls, a: int): ...
    @property
    def part(self): ...
    @cached_property
    def parts(self): ...
    def _private(self, a): ...
class Plain:
    def __init__(self, a) -> None: ...
"""


def test_what_lacks_a_type_is_found(tmp_path, monkeypatch):
    module = ModuleType("made_up")
    module.__file__ = str(tmp_path / "made_up.py")
    Path(module.__file__).write_text(MADE_UP)
    monkeypatch.setitem(sys.modules, "made_up", module)
    exec(compile(MADE_UP, module.__file__, "exec"), vars(module))
    assert lacking(module) == [
        *("half: b", "half: c", "half: return", "kept: return", "Thing.__call__: a"),
        *("Thing.made: return", "Thing.part: return", "Thing.parts: return", "Plain.__init__: a"),
    ]
