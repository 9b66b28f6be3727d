"""The same weights in PyTorch, Keras and ONNX.

Every `to_` function takes a cell and its params, every `from_` function a cell and what the
framework has. A cell is a `companion.Cell`, such as `companion.cells.rnn_relu`, or a name of
`CELLS`. Params are one of three forms, and each holds NumPy arrays or torch tensors:

- the flat dict of `companion.init`, which is a network of one layer in one direction;
- a network of more layers or directions: the same names with the suffixes of torch's state_dict,
  `weight_ih_l0`, `weight_ih_l0_reverse`, `weight_ih_l1`, and so on;
- a module of torch.nn or `companion.nn`, whose state_dict is read.

A `from_` function returns the first form where it can, and otherwise the second, in NumPy arrays;
`layers` takes either apart into flat dicts, and `to_torch` makes of either what a module's
`load_state_dict` takes. Nothing that is returned shares memory with what was given.

What is exact: weights are moved, never computed with, so from a framework to here and back every
bit is the same, and so is params -> torch -> params and params -> ONNX -> params. Only where Keras
has one bias is it the sum of the two here: it comes back whole in bias_ih, with zeros in bias_hh.
A network without biases gets zeros for them here, and goes back to one that has biases.
"""

from companion.weights.gate_orders import GATE_ORDERS, layers
from companion.weights.keras_arrays import from_keras, to_keras
from companion.weights.onnx_import import from_onnx
from companion.weights.onnx_model import to_onnx
from companion.weights.torch_state import from_torch, to_torch

__all__ = [
    "GATE_ORDERS",
    "from_keras",
    "from_onnx",
    "from_torch",
    "layers",
    "to_keras",
    "to_onnx",
    "to_torch",
]
