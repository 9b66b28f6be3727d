"""A digest of everything that the compiled code of a cell depends on."""

import builtins
import sys
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

import numpy as np

from companion.activations import constant, exp, log_sigmoid, maximum, sigmoid, tanh
from companion.cells.cell import Cell

# Rounding may be rearranged, but nan and inf keep their meaning.
FAST = {"contract", "reassoc", "arcp", "nsz"}
# The functions that a compiled cell has in a form of their own.
SCALAR = (sigmoid, tanh, log_sigmoid, exp, maximum, constant)
PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic)


def fingerprint(cell: Cell) -> str:
    """Text that differs whenever the compiled code of `cell` could.

    It takes in the code of `step` and `derivative` and of every function that they call, and the
    value of all that these read: constants, globals, what they close over, defaults.
    Raises ValueError, with its name, for something whose value cannot be told, such as a list.
    """
    import numba

    beside = [
        Path(__file__).with_name(name).read_bytes()
        for name in ("scalar.py", "product.py", "tiles.py", "parts.py")
    ]
    versions = numba.__version__, np.__version__, sys.version_info[:3], sorted(FAST), beside
    return repr((versions, text_of(cell)))


def text_of(cell: Cell) -> str:
    """`fingerprint` without what is no part of the cell: the compiler and its version."""
    seen: dict[FunctionType, object] = {}
    return repr([_value("a cell", f, seen) for f in (cell.step, cell.derivative)])


def _function(function, seen):
    if function in SCALAR:  # compiled from scalar.py, whose text is taken in
        return function.__name__
    if function in seen:  # recursion, or a second use: once is enough
        return seen[function]
    seen[function] = f"function {len(seen)}"
    code = function.__code__
    names = sorted(names_in(code))
    read = {name: _global(function, name, names, seen) for name in names}
    closed = {
        name: _value(name, cell.cell_contents, seen)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
    }
    keywords = tuple(sorted((function.__kwdefaults__ or {}).items()))
    defaults = _value("a default", (function.__defaults__, keywords), seen)
    return _code(code, seen), sorted(read.items()), sorted(closed.items()), defaults


def names_in(code: CodeType) -> set[str]:
    """The names of globals and attributes that code uses, functions inside it included."""
    inner = (names_in(const) for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*inner)


def _code(code, seen):
    # The repr of code holds its address, which differs from process to process.
    constants = [
        _code(const, seen) if isinstance(const, CodeType) else _value("a constant", const, seen)
        for const in code.co_consts
    ]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars


def _global(function, name, names, seen):
    if name not in function.__globals__:
        return "builtin" if hasattr(builtins, name) else "attribute"
    value = function.__globals__[name]
    if isinstance(value, ModuleType):  # and what is read of it
        found = {n: getattr(value, n) for n in names if n != name and hasattr(value, n)}
        told = FunctionType, BuiltinFunctionType
        found = {
            n: v
            for n, v in found.items()
            if isinstance(v, told) or hasattr(v, "py_func") or not callable(v)
        }
        return name, [(n, _value(f"{name}.{n}", v, seen)) for n, v in found.items()]
    return _value(name, value, seen)


def _value(name, value, seen):
    if isinstance(value, PLAIN):
        return type(value).__name__, repr(value)
    if isinstance(value, tuple):
        return type(value).__name__, [_value(name, item, seen) for item in value]
    if isinstance(value, slice):  # a constant of the code from Python 3.14 on
        return "slice", _value(name, (value.start, value.stop, value.step), seen)
    if isinstance(value, frozenset):  # whose order differs from process to process
        return "frozenset", sorted(repr(_value(name, item, seen)) for item in value)
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, FunctionType):
        return _function(value, seen)
    if hasattr(value, "py_func"):  # compiled by numba
        return _function(value.py_func, seen)
    if isinstance(value, ModuleType):
        return "module", value.__name__, getattr(value, "__version__", None)
    if isinstance(value, np.ufunc):
        return "name", value.__name__
    # The method of an object reads the object.
    if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, ModuleType | type):
        return "name", value.__qualname__, getattr(value.__self__, "__name__", None)
    if isinstance(value, type) and value.__module__ in ("builtins", "numpy"):
        return "name", value.__name__
    raise ValueError(
        f"a compiled cell may read numbers, strings, tuples, arrays, functions and modules, got "
        f"{name}, a {type(value).__name__}, whose changes could not be seen"
    )
