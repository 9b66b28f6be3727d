"""PyTorch's own threads, for the engine.

Threads beside them would have to share the processors with them: between two operations of
PyTorch they wait without sleeping.
"""

import ctypes
from functools import cache

import torch

from companion.engine.team import ALONE, Team


def team() -> Team:
    """As many threads as torch.set_num_threads allows; one where PyTorch's can't be had."""
    return _team(torch.get_num_threads())


@cache
def _team(size):
    address = _parallel()
    return ALONE if size == 1 or address is None else Team(size, address)


@cache
def _parallel():
    """Address of GOMP_parallel in the OpenMP library that PyTorch itself uses, or None.

    Compilers call it where a program has a parallel region, GCC's library has it and LLVM's, too.
    """
    try:
        found = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (OSError, AttributeError):
        return None
    return ctypes.cast(found, ctypes.c_void_p).value
