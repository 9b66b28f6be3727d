"""What a cell is: the elementwise maths of one step, and its derivative."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from companion.types import Derivative, Step

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@dataclass(frozen=True)
class Cell:
    """One recurrent cell, without any matrix product (see `companion.engine`).

    name: what tables and errors call it.
    gates: the row blocks of `weight_ih` and `weight_hh`, in order.
    states: what passes from step to step; "h" first, since h is what the weights multiply.
    carries: the states that `step` reads elementwise (h also goes through `weight_hh`).
    kept: what `step` computes on the way and `derivative` needs again.
    peepholes: names of the cell's elementwise weights, each of shape (H,).
    split: the last gates of `gates`, if `step` wants their input part and their recurrent part
        apart instead of their sum.
    forgets: the gate that decides how much stays, and the sign: ("f", 1) keeps the more the larger
        its pre-activation is, ("i", -1) the less; None if the cell has no such gate.
    loops: set by `companion.compiled`: from a dtype to fused loops over time and the product that
        goes with them, or None.

    Every value below is an array of shape (B, H), every group a tuple in the order above:

        step(a, carry, p) -> (state, kept)
        derivative(dstate, state, kept, carry, p) -> (da, dcarry, dp)

    a: pre-activations, one a gate; for a split gate the input part, with the recurrent parts
    after all gates. carry: the states of the step before. p: the peepholes, each (H,).
    dstate: derivatives of the loss with respect to the new state, in; da, dcarry, dp: the same
    for a, carry and p, out (dp still by batch row: the engine sums).
    derivative may be None as long as only `forward` is wanted.
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

    def __repr__(self) -> str:
        return f"<cell {self.name!r}: gates {' '.join(self.gates)}, state {' '.join(self.states)}>"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the cell's parameters, in the order of the flat dict."""
        return WEIGHTS + self.peepholes

    @property
    def pre_activations(self) -> tuple[str, ...]:
        """Names of what `step` takes as `a`: a_i and so on, for a split gate a_n and a_hn."""
        return tuple(f"a_{g}" for g in self.gates) + tuple(f"a_h{g}" for g in self.split)

    @cached_property
    def carried(self) -> list[int]:
        """Positions among the states of those that are carried elementwise."""
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
