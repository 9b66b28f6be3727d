"""A layer for each kind of cell, with the names of torch.nn where it has them."""

from companion.cells import CELLS, slstm
from companion.nn.layer import Layer


class RNN(Layer):
    """Plain recurrent layer with tanh; drop-in for torch.nn.RNN. See `Layer`."""

    cell = CELLS["rnn"]

    def __init__(
        self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", *args, **options
    ):
        if nonlinearity != "tanh":
            raise ValueError(f"nonlinearity must be 'tanh', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, num_layers, *args, **options)
        self.nonlinearity = nonlinearity


class LSTM(Layer):
    """Long short-term memory (Gers et al. 2000); drop-in for torch.nn.LSTM. See `Layer`."""

    cell = CELLS["lstm"]


class PeepholeLSTM(Layer):
    """LSTM whose gates see the cell state (Gers et al. 2002). See `Layer`."""

    cell = CELLS["peephole"]


class CoupledLSTM(Layer):
    """LSTM with forget gate f = 1 - i (Greff et al. 2017). See `Layer`."""

    cell = CELLS["coupled"]


class GRU(Layer):
    """Gated recurrent unit (Cho et al. 2014); drop-in for torch.nn.GRU. See `Layer`."""

    cell = CELLS["gru"]


class SLSTM(Layer):
    """sLSTM with an exponential input gate (Beck et al. 2024), state (h, c, n, m). See `Layer`."""

    cell = slstm
