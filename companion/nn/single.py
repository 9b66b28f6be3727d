"""One step of a cell as a module with the names and the call of torch.nn.LSTMCell and its kin."""

import math

import torch
from torch import nn

from companion.cells import CELLS, Cell, rnn_relu
from companion.nn import direct
from companion.nn.batch_layout import Hidden
from companion.nn.checks import (
    autocast_dtype,
    check_nonlinearity,
    check_options,
    check_state,
    check_tensor,
)
from companion.nn.function import unroll
from companion.nn.operators import NAMES, register
from companion.nn.torch_names import NotQuantized
from companion.params import shapes


class SingleCell(NotQuantized):
    """One step of one kind of cell, for loops in which something happens between the steps.

    The arguments are those of torch.nn.LSTMCell, and so are input, output, names of parameters and
    their first values; peepholes are p_i and so on, (H,).
    input_size: number of inputs, D. hidden_size: number of units, H. bias: whether there are
    bias_ih and bias_hh. device, dtype: of the parameters; None means torch's defaults.
    Raises ValueError naming the argument that does not fit, what it is and what is wanted.

    A subclass needs no more than a `cell`, which may be a `companion.Cell` of your own.
    """

    cell: Cell
    _key: str
    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: torch.Tensor
    weight_hh: torch.Tensor

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._key = register(cls.cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = dict(input_size=input_size, hidden_size=hidden_size)
        for name, value in check_options(sizes, {"bias": bias}, {}).items():
            setattr(self, name, value)
        for name, shape in shapes(self.cell, self.input_size, self.hidden_size).items():
            value = torch.empty(shape, device=device, dtype=dtype)
            kept = self.bias or not name.startswith("bias")
            self.register_parameter(name, nn.Parameter(value) if kept else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, uniform in (-1/√H, 1/√H)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")

    def forward(self, input: torch.Tensor, hx: Hidden | None = None) -> Hidden:
        """Run one step.

        input: (B, D), or (D,) without a batch.
        hx: the state before, h or (h, c), each (B, H), or (H,) without a batch; None means zeros.
        input and hx are of the dtype and on the device of the weights; under autocast any floating
        dtype will do.
        Returns the state after, in the form of hx: its h is the output.
        Raises ValueError naming the argument that does not fit, what it is and what is wanted.
        """
        found = direct.of_cell(self, input, hx)
        if found is not None:
            return found
        D, H, weight = self.input_size, self.hidden_size, self.weight_ih
        check_tensor("input", input, weight)
        if input.dim() not in (1, 2) or input.shape[-1] != D:
            got = tuple(input.shape)
            raise ValueError(f"input must have shape (B, {D}) or ({D},), got {got}")
        batch, names = input.shape[:-1], self.cell.states
        if hx is None:
            state = (input.new_zeros((*batch, H)),) * len(names)
        else:
            state = check_state(hx, dict.fromkeys(names, (*batch, H)), weight)
        params = {name: self._parameter(name, weight) for name in NAMES[self._key]}
        dtype = autocast_dtype(weight)
        if dtype is not None:
            params = {name: value.to(dtype) for name, value in params.items()}
            input, *state = (value.to(dtype) for value in (input, *state))
        if not batch:
            input, *state = (value.unsqueeze(0) for value in (input, *state))
        _, last = unroll(self._key, params, input.unsqueeze(0), tuple(state))
        if not batch:
            last = tuple(value.squeeze(0) for value in last)
        return last if len(last) > 1 else last[0]

    def _parameter(self, name, like):
        own = self._parameters  # where a parameter is found faster than by getattr
        value = own[name] if name in own else getattr(self, name)
        return like.new_zeros(len(like)) if value is None else value


class RNNCell(SingleCell):
    """One step of a plain recurrent network; drop-in for torch.nn.RNNCell. See `SingleCell`.

    nonlinearity: "tanh" or "relu".
    """

    cell = CELLS["rnn"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity
        if nonlinearity == "relu":  # the same parameters
            self.cell, self._key = rnn_relu, register(rnn_relu)

    def extra_repr(self) -> str:
        other = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + other


class LSTMCell(SingleCell):
    """One step of an LSTM; drop-in for torch.nn.LSTMCell. See `SingleCell`."""

    cell = CELLS["lstm"]


class PeepholeLSTMCell(SingleCell):
    """One step of an LSTM whose gates see the cell state (Gers et al. 2002). See `SingleCell`."""

    cell = CELLS["peephole"]


class GRUCell(SingleCell):
    """One step of a GRU, in the form of `GRU`; drop-in for torch.nn.GRUCell. See `SingleCell`."""

    cell = CELLS["gru"]
