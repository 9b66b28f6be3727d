"""What a cell is: the elementwise maths of one step, and its derivative."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from companion.types import Derivative, Step

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@dataclass(frozen=True)
class Cell:
    """One recurrent cell, without any matrix product (see `companion.engine`).

    name: what tables and errors call it.
    gates: the blocks of H rows in `weight_ih` and `weight_hh`, in order; a candidate is one, too.
    states: what passes from step to step; "h" first, since h is what the weights multiply.
    carries: the states that `step` reads elementwise (h also goes through `weight_hh`).
    kept: what `step` computes on the way and `derivative` needs again.
    peepholes: names of the cell's elementwise weights, each of shape (H,).
    split: the last gates of `gates`, if `step` wants their input part and their recurrent part
        apart instead of their sum.
    forgets: the gate that decides how much stays, and a sign: ("f", 1) if a larger pre-activation
        keeps more, ("i", -1) if it keeps less; None if the cell has no such gate.
    loops: leave it out; `companion.compiled` sets it: a function from a dtype to loops over time
        and products, or to None where plain NumPy is to run.

    Every value below is an array of shape (B, H), every group a tuple in the order above:

        step(a, carry, p) -> (state, kept)
        derivative(dstate, state, kept, carry, p) -> (da, dcarry, dp)

    a: pre-activations, one a gate. Of a split gate it is the input part; the recurrent parts of
    the split gates come after all gates, as `pre_activations` names them.
    carry: the states of `carries`, from the step before. p: the peepholes, each (H,).
    state: all new states.
    dstate: derivatives of the loss with respect to the new states.
    da, dcarry, dp: derivatives with respect to a, carry and p; dp is still by batch row, (B, H),
    and the engine sums it. The engine also adds what comes to h through `weight_hh`.

    A step made of the functions of `companion.activations` also runs on complex numbers, as the
    gradient check wants it, and on torch tensors.
    derivative may be None as long as only `forward` is wanted, and plain NumPy.
    Raises ValueError for names that do not fit together, such as states that do not start with h.
    """

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    carries: tuple[str, ...]
    kept: tuple[str, ...]
    step: Step
    derivative: Derivative | None
    peepholes: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    forgets: tuple[str, int] | None = None
    loops: Callable[[np.dtype], tuple[Callable, Callable, Callable] | None] | None = None

    def __post_init__(self) -> None:
        for name in ("gates", "states", "carries", "kept", "peepholes", "split"):
            if not isinstance(getattr(self, name), tuple):
                raise ValueError(f"{name} must be a tuple of names, got {getattr(self, name)!r}")
        if not self.states or self.states[0] != "h":
            raise ValueError(f"states must start with 'h', got {self.states!r}")
        if unknown := set(self.carries) - set(self.states):
            raise ValueError(f"carries must be among the states {self.states}, got {unknown}")
        if self.split and self.gates[-len(self.split) :] != self.split:
            raise ValueError(f"split must be the last of the gates {self.gates}, got {self.split}")
        if self.forgets and not (self.forgets[0] in self.gates and self.forgets[1] in (1, -1)):
            raise ValueError(f"forgets must be one of {self.gates} and 1 or -1, got {self.forgets}")
        compiled_for = getattr(self.loops, "cell", None)
        if compiled_for and compiled_for != replace(self, loops=None):
            raise ValueError(
                f"loops must have been compiled for this cell, got those of {compiled_for!r}: "
                "make the cell with loops=None, then call companion.compiled on it"
            )

    def __repr__(self) -> str:
        return f"<cell {self.name!r}: gates {' '.join(self.gates)}, state {' '.join(self.states)}>"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the cell's parameters, in the order of the flat dict of `init`."""
        return WEIGHTS + self.peepholes

    @property
    def pre_activations(self) -> tuple[str, ...]:
        """Names of what `step` takes as `a`: a_i and so on, for a split gate a_n and a_hn."""
        return tuple(f"a_{g}" for g in self.gates) + tuple(f"a_h{g}" for g in self.split)

    @cached_property
    def carried(self) -> list[int]:
        """Positions in `states` of those that are in `carries`."""
        return [self.states.index(name) for name in self.carries]

    @property
    def joint(self) -> int:
        """Number of gates that take one sum of input part and recurrent part."""
        return len(self.gates) - len(self.split)


@cache
def check_returns(cell: Cell, derivative: bool) -> None:
    """Raise a ValueError unless `step`, or `derivative`, returns as many values as the cell names.

    Each is tried once on a single unit, and what is known of a cell is not tried again.
    """

    def halves(names):
        return tuple(np.full((1, 1), 0.5) for _ in names)

    def check(which, result, wanted):
        groups = result if isinstance(result, tuple) else (result,)
        got = [len(g) if isinstance(g, tuple) else type(g).__name__ for g in groups]
        if got != [len(names) for names in wanted.values()]:
            counts = ", ".join(f"{part} of {len(names)}" for part, names in wanted.items())
            raise ValueError(f"{which} of {cell.name} must return the tuples {counts}, got {got}")
        return result

    a, carry, p = map(halves, (cell.pre_activations, cell.carries, cell.peepholes))
    with np.errstate(all="ignore"):
        wanted = {"state": cell.states, "kept": cell.kept}
        state, kept = check("step", cell.step(a, carry, p), wanted)
        if not derivative:
            return
        if cell.derivative is None:
            raise ValueError(f"{cell.name} must have a derivative to go backward, got None")
        result = cell.derivative(halves(cell.states), state, kept, carry, p)
        wanted = {"da": cell.pre_activations, "dcarry": cell.carries, "dp": cell.peepholes}
        check("derivative", result, wanted)
