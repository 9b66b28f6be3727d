"""Companion code of the book "Long Short-Term Memory: a book that measures".

`import companion` needs NumPy alone; plots need matplotlib.
"""

from companion.cells import CELLS, Cell
from companion.params import gate, init
from companion.unroll import backward, forward, history

__version__ = "0.1.0"
__all__ = ["CELLS", "Cell", "backward", "forward", "gate", "history", "init"]
