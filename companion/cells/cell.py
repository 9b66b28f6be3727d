"""What a cell is: the elementwise maths of one step, and its derivative."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One recurrent cell, without any matrix product (see `companion.engine.unroll`).

    name: what tables and errors call it.
    gates: the row blocks of `weight_ih` and `weight_hh`, in order.
    states: what passes from step to step; "h" first, since h is what the weights multiply.
    carries: the states that `step` reads elementwise (h also goes through `weight_hh`).
    kept: what `step` computes on the way and `derivative` needs again.
    peepholes: names of the cell's elementwise weights, each of shape (H,).
    split: the last gates of `gates`, if `step` wants their input part and their recurrent part
        apart instead of their sum.
    loops: set by `companion.engine.compiled`: from a dtype to fused loops over time, or None.

    Every value below is an array of shape (B, H), every group a tuple in the order above:

        step(a, carry, p) -> (state, kept)
        derivative(dstate, state, kept, carry, p) -> (da, dcarry, dp)

    a: pre-activations, one a gate; for a split gate the input part, with the recurrent parts
    after all gates. carry: the states of the step before. p: the peepholes, each (H,).
    dstate: derivatives of the loss with respect to the new state, in; da, dcarry, dp: the same
    for a, carry and p, out (dp still by batch row: the engine sums).
    """

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    carries: tuple[str, ...]
    kept: tuple[str, ...]
    step: Callable
    derivative: Callable
    peepholes: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    loops: Callable | None = None

    def __post_init__(self):
        if not self.states or self.states[0] != "h":
            raise ValueError(f"states must start with 'h', got {self.states!r}")
        if unknown := set(self.carries) - set(self.states):
            raise ValueError(f"carries must be among the states {self.states}, got {unknown}")
        if self.split and self.gates[-len(self.split) :] != self.split:
            raise ValueError(f"split must be the last of the gates {self.gates}, got {self.split}")

    def __repr__(self):
        return f"<cell {self.name!r}: gates {' '.join(self.gates)}, state {' '.join(self.states)}>"

    def slopes(self, states, kept, p, steps):
        """What `derivative` returns where one state has the derivative 1 and the others 0.

        A derivative is linear in dstate, so that these say all about it; and they depend on no
        other step, so that they are computed for many steps at once.
        states, kept: of a tape, (S, T + 1, B, H) and (K, T, B, H). steps: a slice of the T steps.
        Returns one tuple (*da, *dcarry, *dp) for each state, of arrays (steps, B, H).
        Raises ValueError if `derivative` returns too few or too many.
        """
        # Twice what is wanted, then halved, which rounds nothing: a `derivative` that forgets a
        # factor dstate would be right where it is 1.
        state, kept = tuple(states[:, 1:][:, steps]), tuple(kept[:, steps])
        carry = tuple(states[self.states.index(name), steps] for name in self.carries)
        two = 2 * state[0] ** 0
        wanted = [len(self.gates + self.split), len(self.carries), len(self.peepholes)]
        found = []
        for s in range(len(self.states)):
            dstate = tuple(two if k == s else 0 * two for k in range(len(self.states)))
            groups = self.derivative(dstate, state, kept, carry, p)
            if (got := [len(group) for group in groups]) != wanted:
                raise ValueError(
                    f"derivative of {self.name} must return {wanted} values da, dcarry and dp, "
                    f"got {got}"
                )
            found.append(tuple(value / 2 for value in sum(groups, ())))
        return found
