"""A layer for each kind of cell, with the names of torch.nn where it has them."""

import torch

from companion.cells import CELLS, rnn_relu, slstm
from companion.nn.checks import check_nonlinearity
from companion.nn.layer import Layer
from companion.nn.operators import register


class RNN(Layer):
    """Plain recurrent layer; drop-in for torch.nn.RNN. See `Layer`.

    nonlinearity: "tanh" or "relu".
    The other arguments are those of `Layer`; proj_size must be 0, and forget_bias None.
    """

    cell = CELLS["rnn"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
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
        check_nonlinearity(nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            forget_bias=forget_bias,
            recurrent_dropout=recurrent_dropout,
            compiled=compiled,
        )
        self.nonlinearity = nonlinearity
        if nonlinearity == "relu":  # the same parameters
            self.cell, self._key = rnn_relu, register(rnn_relu)


register(rnn_relu)  # a process that only unpickles a layer needs it, too


class LSTM(Layer):
    """Long short-term memory (Gers et al. 2000); drop-in for torch.nn.LSTM. See `Layer`."""

    cell = CELLS["lstm"]


class PeepholeLSTM(Layer):
    """LSTM whose gates see the cell state (Gers et al. 2002). See `Layer`.

    Its peepholes are p_i, p_f and p_o: i and f see the cell state of the step before, o the new
    one.
    """

    cell = CELLS["peephole"]


class CoupledLSTM(Layer):
    """LSTM with forget gate f = 1 - i (Greff et al. 2017). See `Layer`.

    Its weights have 3 H rows: gates i, g and o.
    """

    cell = CELLS["coupled"]


class GRU(Layer):
    """Gated recurrent unit; drop-in for torch.nn.GRU. See `Layer`.

    Source: Cho et al. (2014), but with the reset gate after the product W_hn h, as in torch; in
    the paper, and in `companion.gru2014`, it comes before.
    """

    cell = CELLS["gru"]


class SLSTM(Layer):
    """sLSTM with an exponential input gate (Beck et al. 2024), state (h, c, n, m). See `Layer`.

    hx and the last state are tuples of these four: n is the normaliser, m the stabiliser. Of the
    paper's two forget gates it has the sigmoid; it has one head.
    """

    cell = slstm
