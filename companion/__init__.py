"""Companion code of the book "Long Short-Term Memory: a book that measures".

`import companion` needs NumPy alone; plots need matplotlib, compiled cells numba, layers torch.
"""

from companion.cells import CELLS, Cell
from companion.engine import backward, compiled, forward, history
from companion.params import gate, init

__version__ = "0.1.0"
__all__ = ["CELLS", "Cell", "backward", "compiled", "forward", "gate", "history", "init"]
