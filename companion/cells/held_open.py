"""A cell without one of its gates: the gate is held open, and its weights are gone."""

from dataclasses import replace

# sigmoid(1e4) is exactly 1 in every precision, and its slope exactly 0.
OPEN = 10000


def held_open(cell, gate, name):
    """The cell with one gate, or its peephole, taken out: the gate is 1 at every step.

    cell: a `Cell`. gate: one of its gates, a sigmoid. name: of the new cell.
    """
    k = cell.gates.index(gate)
    m = cell.peepholes.index(f"p_{gate}") if f"p_{gate}" in cell.peepholes else None
    with_gate, with_gate_derivative = cell.step, cell.derivative

    def all_gates(a):
        # 0 * a[0] gives the number the shape and precision of its neighbours.
        return a[:k] + (OPEN + 0 * a[0],) + a[k:]

    def all_peepholes(p):
        return p if m is None else p[:m] + (0 * p[0],) + p[m:]

    def step(a, carry, p):
        return with_gate(all_gates(a), carry, all_peepholes(p))

    def derivative(dstate, state, kept, carry, p):
        da, dcarry, dp = with_gate_derivative(dstate, state, kept, carry, all_peepholes(p))
        return da[:k] + da[k + 1 :], dcarry, dp if m is None else dp[:m] + dp[m + 1 :]

    return replace(
        cell,
        name=name,
        gates=cell.gates[:k] + cell.gates[k + 1 :],
        peepholes=tuple(p for p in cell.peepholes if p != f"p_{gate}"),
        step=step,
        derivative=derivative,
    )
