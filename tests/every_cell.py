"""Every cell of the package by name, for tests that run over all of them."""

from companion.cells import CELLS, slstm

EVERY = CELLS | {"slstm": slstm}
