"""Names of types, for signatures; the shapes of arrays are in the docstrings."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Array = np.ndarray  # of floats, or of complex numbers, unless a docstring says otherwise
Params = dict[str, Array]  # parameters, their gradients, or other arrays by name
State = tuple[Array, ...]  # one array for each of a cell's states
Value = Any  # an array, a torch tensor or a number, and out comes what went in
Values = tuple[Value, ...]
# The two functions of a cell; `companion.Cell` says what is in each tuple.
Step = Callable[[Values, Values, Values], tuple[Values, Values]]
Derivative = Callable[[Values, Values, Values, Values, Values], tuple[Values, Values, Values]]
ArrayOrTensor = TypeVar("ArrayOrTensor", np.ndarray, "torch.Tensor")
# From the number of an epoch to its batches, for `companion.train.fit`.
Batches = Callable[[int], Iterator[Any]]
