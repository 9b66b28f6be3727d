"""Every cell of the book, by name."""

from companion.cells.cell import Cell
from companion.cells.coupled import coupled
from companion.cells.gru import gru
from companion.cells.held_open import held_open
from companion.cells.lstm import lstm
from companion.cells.mgu import mgu
from companion.cells.peephole import ABLATIONS, peephole
from companion.cells.rnn import rnn, rnn_relu
from companion.cells.slstm import slstm

# The network of Hochreiter and Schmidhuber (1997) has no forget gate: c = c_prev + i g.
lstm1997 = held_open(lstm, "f", "lstm1997")

CELLS = {cell.name: cell for cell in (rnn, lstm, peephole, coupled, gru, mgu, lstm1997, *ABLATIONS)}

__all__ = ["CELLS", "Cell", "find_cell", "rnn_relu", "slstm"]


def find_cell(cell: Cell | str) -> Cell:
    """The cell itself, or the entry of `CELLS` of that name.

    Raises ValueError, with the names there are, for anything else.
    """
    if isinstance(cell, Cell):
        return cell
    if isinstance(cell, str) and cell in CELLS:
        return CELLS[cell]
    raise ValueError(f"cell must be a Cell or one of {', '.join(CELLS)}, got {cell!r}")
