"""First biases for a network that is to remember over some number of steps."""

import torch

from companion.nn.layer import Layer
from companion.nn.single import SingleCell
from companion.params import gate


@torch.no_grad()
def init_chrono_(layer: Layer | SingleCell, longest: int) -> None:
    """Set the biases of a layer's gates for memories of 2 to `longest` steps.

    The gate that forgets gets the bias b = log(u) with u uniform in (1, longest - 1), drawn for
    every unit: where x and h are 0 the unit then remembers over about u + 1 steps. The input gate
    of an LSTM gets -b. Biases of other gates are left alone. b is in bias_ih, and bias_hh of these
    gates is 0.
    layer: of `companion.nn`, a layer or a single step; its biases are changed in place, in all
    layers and directions.
    longest: number of steps, more than 2.
    Raises ValueError for a layer without biases or without a gate that forgets, for a bias that is
    pruned or parametrized, or a `longest` of 2 or less.
    Source: Tallec and Ollivier (2018), section 2, the chrono initialization of an LSTM:
    b_f = log(U([1, T_max - 1])), b_i = -b_f. Where one gate g lets in and 1 - g keeps, as in a GRU,
    they give it b_g = -log(U([T_min, T_max]) - 1): the same, with T_min = 2.
    """
    cell = layer.cell
    if cell.forgets is None or not layer.bias:
        why = (
            "without biases" if cell.forgets else f"of the cell {cell.name}, which forgets nothing"
        )
        raise ValueError(f"layer must have a forget gate with a bias, got one {why}")
    if not longest > 2:
        raise ValueError(f"longest must be more than 2 steps, got {longest!r}")
    ends = [""]
    if isinstance(layer, Layer):
        ends = [end for k in range(layer.num_layers) for end in layer._suffixes(k)]
    for name in (f"bias_{kind}{end}" for end in ends for kind in ("ih", "hh")):
        if name not in layer._parameters:
            raise ValueError(
                f"{name} must be a parameter of the layer, got one that is pruned, parametrized "
                "or computed: initialize before"
            )
    forgets, sign = cell.forgets
    for end in ends:
        bias, other = (layer.get_parameter(f"bias_{kind}{end}") for kind in ("ih", "hh"))
        b = torch.empty_like(gate(cell, bias, forgets)).uniform_(1, longest - 1).log_()
        values = ({"i": -b} if "i" in cell.gates else {}) | {forgets: sign * b}
        for letter, value in values.items():
            gate(cell, bias, letter).copy_(value)
            gate(cell, other, letter).zero_()
