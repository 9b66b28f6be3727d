"""Every cell of the package by name, for tests that run over all of them."""

from companion.cells import CELLS, rnn_relu, slstm

EVERY = CELLS | {"slstm": slstm, "rnn_relu": rnn_relu}
