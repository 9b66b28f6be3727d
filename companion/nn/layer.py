"""What all layers are: constructor, parameters and call of torch.nn.LSTM, for any cell."""

import math
import warnings
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from companion.nn import direct, torch_loops
from companion.nn.batch_layout import Hidden, Input, layout_of, over_parts
from companion.nn.checks import (
    autocast_dtype,
    check_forget_bias,
    check_input,
    check_options,
    check_projection,
    check_state,
)
from companion.nn.function import unroll
from companion.nn.operators import cell_of, register
from companion.nn.projection import projected
from companion.nn.torch_names import TorchNames
from companion.params import gate, shapes

# Options that the text of a layer shows where they are not these.
DEFAULTS = {
    "proj_size": 0,
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0,
    "bidirectional": False,
    "forget_bias": None,
    "recurrent_dropout": 0,
    "compiled": True,
}


class Layer(TorchNames):
    """A recurrent network of one kind of cell, in layers, in one direction or in both.

    The arguments are those of torch.nn.LSTM, and so are input, output, names of parameters and
    their first values; peepholes are p_i_l0 and so on, (H,).
    input_size: number of inputs, D. hidden_size: number of units, H.
    num_layers: how many layers lie on top of each other, each reading the h of the one below.
    bias: whether there are bias_ih and bias_hh.
    batch_first: whether input and output are (B, T, ·) instead of (T, B, ·); states stay as they
    are.
    dropout: probability with which a number that a layer hands to the one above is zero while
    training; the others are multiplied by 1 / (1 - dropout).
    bidirectional: whether a second network in every layer runs from the last step to the first.
    proj_size: number P of values of h, fewer than units: h = W_hr m, where m is what the cell puts
    out (the recurrent projection r = W_rm m of Sak, Senior and Beaufays 2014); 0 is without. Not
    for a cell such as the RNN that has no state but h, nor for one such as the GRU that reads h
    elementwise. For each sequence the engine then does 4 H² multiplications a step, and once a
    call, before the first step, 4 H² P; torch's own operator does 5 H P a step, and an LSTM calls
    it where that is faster.
    device, dtype: of the parameters; None means torch's defaults.
    forget_bias: first bias of the gate that forgets (`Cell.forgets`; for a GRU the update gate),
    the sum of bias_ih and bias_hh; None leaves both random. 1 keeps memory open from the start
    (Jozefowicz, Zaremba and Sutskever 2015). Where the forget gate is 1 - i, the input gate's bias
    is -forget_bias. An RNN, which forgets by no gate, and a layer without biases take None alone.
    recurrent_dropout: probability p with which each weight of weight_hh is zero, drawn once a call
    while training; the others are multiplied by 1 / (1 - p) (Merity, Keskar and Socher 2018,
    section 2, the weight-dropped LSTM, after the DropConnect of Wan et al. 2013).
    compiled: True runs compiled loops on a CPU where numba is installed; False, and True without
    numba, plain NumPy. Compiled loops take up to torch.get_num_threads() threads, and their results
    do not depend on how many; torch multiplies a projection, and its last digits do. With True a
    call of one step of a GRU or RNN, or of an LSTM in float64, runs torch's own operator; its last
    digits may differ from those of the loops.
    Raises ValueError naming the argument that does not fit, what it is and what is wanted; warns
    of a dropout that does nothing, as there is one layer alone.

    A subclass needs no more than a `cell`, which may be a `companion.Cell` of your own. What the
    cell's functions read from outside, such as a global, counts as it was when the class was made.
    If that changes, make the class anew: with the old class compiled loops go on with the old
    value, and all else raises a ValueError.
    """

    input_size: int
    dropout: float
    forget_bias: float | None
    recurrent_dropout: float
    compiled: bool

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._key = register(cls.cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        forget_bias: float | None = None,
        recurrent_dropout: float = 0.0,
        compiled: bool = True,
    ) -> None:
        super().__init__()
        sizes = dict(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        flags = dict(
            bias=bias, batch_first=batch_first, bidirectional=bidirectional, compiled=compiled
        )
        probabilities = dict(dropout=dropout, recurrent_dropout=recurrent_dropout)
        options = check_options(sizes, flags, probabilities)
        options["proj_size"] = check_projection(proj_size, self.cell, options["hidden_size"])
        check_forget_bias(forget_bias, self.cell, bias)
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"dropout is between layers: with num_layers=1, {dropout} does nothing",
                stacklevel=2,
            )
        for name, value in (options | {"forget_bias": forget_bias}).items():
            setattr(self, name, value)
        for layer in range(num_layers):
            D = (proj_size or hidden_size) * (1 + bidirectional) if layer else input_size
            for suffix in self._suffixes(layer):
                for name, shape in self._shapes(D).items():
                    if bias or not name.startswith("bias"):
                        value = torch.empty(shape, device=device, dtype=dtype)
                        self.register_parameter(name + suffix, nn.Parameter(value))
        self.reset_parameters()

    def _shapes(self, D):
        """Shape of every parameter of one layer and direction with D inputs, in torch's order."""
        found = shapes(self.cell, D, self.hidden_size)
        if self.proj_size:
            found["weight_hh"] = len(self.cell.gates) * self.hidden_size, self.proj_size
            found["weight_hr"] = self.proj_size, self.hidden_size
        return found

    def reset_parameters(self) -> None:
        """Draw all parameters anew, uniform in (-1/√H, 1/√H), then set the forget bias."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        if self.forget_bias is not None and self.cell.forgets is not None:
            name, sign = self.cell.forgets
            with torch.no_grad():
                for key, parameter in self.named_parameters():
                    if key.startswith("bias"):
                        value = sign * self.forget_bias if key.startswith("bias_ih") else 0
                        gate(self.cell, parameter, name).fill_(value)

    def extra_repr(self) -> str:
        shown = [k for k, default in DEFAULTS.items() if getattr(self, k) != default]
        sizes = [f"{self.input_size}, {self.hidden_size}"]
        return ", ".join(sizes + [f"{name}={getattr(self, name)}" for name in shown])

    def forward(self, input: Input, hx: Hidden | None = None) -> tuple[Input, Hidden]:
        """Run over a batch of sequences.

        input: (T, B, D); (B, T, D) with batch_first; (T, D) without a batch; or a PackedSequence.
        Its dtype and device are those of the weights; under autocast any floating dtype will do.
        hx: the first state, h0 or a tuple with one tensor for each of `cell.states`, such as
        (h0, c0), each (layers · directions, B, H), without B if input is without it; None means
        zeros. The forward direction of a layer comes before its reverse one.
        Returns the h of the last layer at every step, directions · H wide and else laid out like
        input; and the last state in the form of hx, that of the reverse direction after it has read
        the first step. With a projection every h, given or returned, has P numbers in place of H.
        Raises ValueError naming the argument that does not fit, what it is and what is wanted.
        """
        found = direct.of_layer(self, input, hx)
        if found is not None:
            return found
        output, last, _ = self._run(self._unroll, input, hx)
        return output, last if len(last) > 1 else last[0]

    def history(self, input: Input, hx: Hidden | None = None) -> dict[str, dict[str, Input]]:
        """Every gate and state at every step, as tensors that may enter a loss.

        input, hx: as in a call. This takes longer than a call, since it runs torch operations;
        while training it draws dropout anew.
        Returns a dict from layer and direction, "l0", "l0_reverse", "l1" and so on, to a dict from
        name, as of `companion.history`, to values H wide and else laid out like input; with a
        projection h is P wide. All but such an h are in float32 at least.
        """
        _, _, values = self._run(self._trace, input, hx)
        names = self.cell.states + self.cell.kept
        return {key: dict(zip(names, group, strict=True)) for key, group in values.items()}

    def _unroll(self, params, xs, state):
        """One layer and direction: h at every step, in a tuple, and the last state."""
        ys, last = unroll(self._key, params, xs, state, self.compiled)
        return (ys,), last

    def _trace(self, params, xs, state):
        """The same with all states and kept values at every step, in torch operations."""
        _, last, states, kept = torch_loops.forward(cell_of(self._key), params, xs, state)
        return (*(s[1:] for s in states), *kept), last

    def _run(self, run, input, hx):
        """Run all layers. run: `_unroll` or `_trace`.

        Returns output, the last state (a tuple) and the values of every layer and direction.
        """
        weight = self.weight_ih_l0
        layout = layout_of(input, self.batch_first)
        check_input(input, layout, self.input_size, weight)
        data = layout.enter(input)
        firsts = self._first_states(hx, layout, data, weight)
        dtype = autocast_dtype(weight)
        if dtype is not None:
            data = data.to(dtype)
            firsts = [tuple(s.to(dtype) for s in first) for first in firsts]
        if self.proj_size:
            run = partial(projected, run, cell_of(self._key) if run == self._unroll else None)
        lasts: list[tuple[torch.Tensor, ...]] = []
        history = {}
        for layer in range(self.num_layers):
            if layer and self.dropout:
                data = F.dropout(data, self.dropout, self.training)
            parts, outputs = layout.split(data), []
            for reverse, suffix in enumerate(self._suffixes(layer)):
                cell_run = partial(run, self._params(suffix, dtype))
                results, last = over_parts(cell_run, parts, firsts[len(lasts)], reverse)
                values = [layout.join(group) for group in zip(*results, strict=True)]
                lasts.append(last)
                output = values[0]  # of a trace it is in float32 at least
                outputs.append(output if output.dtype == data.dtype else output.to(data.dtype))
                history[suffix[1:]] = [layout.leave(value) for value in values]
            data = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
        last = tuple(layout.leave_state(torch.stack(s)) for s in zip(*lasts, strict=True))
        return layout.leave(data), last, history

    def _params(self, suffix, dtype):
        """Parameters of one layer and direction, by the cell's names; missing biases are zero."""
        params, own = {}, self._parameters  # where a parameter is found faster than by getattr
        for name in self._names:
            if self.bias or not name.startswith("bias"):
                value = own.get(name + suffix)
                params[name] = getattr(self, name + suffix) if value is None else value
            else:
                params[name] = params["weight_hh"].new_zeros(len(params["weight_hh"]))
        if self.recurrent_dropout:
            weight = params["weight_hh"]
            params["weight_hh"] = F.dropout(weight, self.recurrent_dropout, self.training)
        if dtype is not None:
            params = {name: value.to(dtype) for name, value in params.items()}
        return params

    def _first_states(self, hx, layout, data, weight):
        """The first state of each layer and direction, a tuple of (B, H)."""
        count, H = self.num_layers * (1 + self.bidirectional), self.hidden_size
        B = layout.batch(data)
        sizes = [self.proj_size or H] + [H] * (len(self.cell.states) - 1)
        if hx is None:
            zeros = {size: data.new_zeros((B, size)) for size in set(sizes)}
            return [tuple([zeros[size] for size in sizes])] * count
        shapes = [(count, B, size) if layout.batched else (count, size) for size in sizes]
        names = [f"{name}0" for name in self.cell.states]
        state = check_state(hx, dict(zip(names, shapes, strict=True)), weight)
        return list(zip(*(layout.enter_state(s).unbind() for s in state), strict=True))
