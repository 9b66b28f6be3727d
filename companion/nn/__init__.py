"""The cells of the book as PyTorch layers that drop in for torch.nn.RNN, LSTM and GRU.

Their backward pass is the hand-derived one of `companion.cells`. On a CPU, in float32 and float64,
they run the NumPy engine, with compiled loops where numba is installed; else torch operations, on
a GPU as CUDA graphs. What records or transforms each operation, such as torch.func, is given torch
operations, too. `ZoneoutLSTM` and `LayerNormLSTM` run torch operations alone, and autograd goes
back.
"""

from companion.engine.needed import needed

with needed(by="companion.nn", what="PyTorch", install="torch"):
    import torch  # noqa: F401

from companion.nn.chrono import init_chrono_
from companion.nn.layer import Layer
from companion.nn.layers import GRU, LSTM, RNN, SLSTM, CoupledLSTM, PeepholeLSTM
from companion.nn.locked_dropout import LockedDropout
from companion.nn.onnx_export import onnx_table
from companion.nn.resets import run_with_resets
from companion.nn.single import GRUCell, LSTMCell, PeepholeLSTMCell, RNNCell, SingleCell
from companion.nn.stepwise import LayerNormLSTM, ZoneoutLSTM

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "SLSTM",
    "CoupledLSTM",
    "GRUCell",
    "LSTMCell",
    "Layer",
    "LayerNormLSTM",
    "LockedDropout",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
    "RNNCell",
    "SingleCell",
    "ZoneoutLSTM",
    "init_chrono_",
    "onnx_table",
    "run_with_resets",
]
