"""A cell without one of its gates: the gate is held open, and its weights are gone."""

from dataclasses import replace
from typing import Any

from companion.activations import constant
from companion.cells.cell import Cell

# sigmoid(1e4) is exactly 1 in every precision, and its slope exactly 0.
OPEN = 10000.0


def held_open(cell: Cell, gate: str, name: str) -> Cell:
    """The cell without one gate and the gate's peephole: the gate is 1 at every step.

    cell: a `Cell` with another gate beside this one.
    gate: one of its gates, a sigmoid, and none of `cell.split`.
    name: what tables and errors call the new cell.
    Returns a new `Cell`, without the gate's rows in weights and biases; `history` still shows the
    gate, as 1. To have it compiled, call `companion.compiled` on it, not on what it is made from.
    Raises ValueError for a gate that the cell does not have, or that is split.
    """
    if gate not in cell.gates:
        raise ValueError(f"gate must be one of {cell.gates} for {cell.name}, got {gate!r}")
    k = cell.gates.index(gate)
    has_peephole = f"p_{gate}" in cell.peepholes
    m = cell.peepholes.index(f"p_{gate}") if has_peephole else 0
    with_gate = cell.step
    with_gate_derivative: Any = cell.derivative

    def all_gates(a):
        return a[:k] + (constant(a[0], OPEN),) + a[k:]

    def all_peepholes(p):
        return p[:m] + (constant(p[0], 0.0),) + p[m:] if has_peephole else p

    def step(a, carry, p):
        return with_gate(all_gates(a), carry, all_peepholes(p))

    def derivative(dstate, state, kept, carry, p):
        da, dcarry, dp = with_gate_derivative(dstate, state, kept, carry, all_peepholes(p))
        return da[:k] + da[k:][1:], dcarry, dp[:m] + dp[m:][1:] if has_peephole else dp

    return replace(
        cell,
        name=name,
        gates=cell.gates[:k] + cell.gates[k + 1 :],
        peepholes=tuple(p for p in cell.peepholes if p != f"p_{gate}"),
        forgets=None if cell.forgets and cell.forgets[0] == gate else cell.forgets,
        step=step,
        derivative=derivative if cell.derivative else None,
        loops=None,  # those of a compiled cell read all gates
    )
