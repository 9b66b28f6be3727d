"""Layers in a model that PyTorch exports to ONNX: the operators RNN, LSTM and GRU of ONNX."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from companion.nn.operators import NAMES, cell_of
from companion.weights.gate_orders import order_in, reorder
from companion.weights.onnx_model import OPERATORS, attributes, peepholes


def onnx_table() -> dict[Callable, Callable]:
    """A dict that `torch.onnx.export(dynamo=True)` takes as `custom_translation_table`.

    With it a model that has layers of this package is exported as a whole, and every layer and
    direction becomes one of ONNX's own operators: RNN, LSTM and GRU, peepholes as the operator's
    input P, a coupled gate as its attribute `input_forget`. The weights stay under the names of the
    state_dict. T and B may be dynamic, though not 0 in ONNX Runtime, which computes these operators
    in float32 alone. Sequences of several lengths (`PackedSequence`) cannot be exported.
    A layer of a cell that ONNX has not, such as `SLSTM`, fails in the export, with an error that
    names the cells that ONNX has.
    LSTM layers, those with peepholes or a coupled gate included, can then be run with weights in
    int8: `onnxruntime.quantization.quantize_dynamic(op_types_to_quantize=["LSTM", "MatMul"])`,
    after `quant_pre_process`, which puts the weights into the operators' order.
    Raises ImportError without onnxscript, which PyTorch needs for any export.
    Source: the ONNX operator reference, LSTM, GRU and RNN.
    """
    from onnxscript import FLOAT, opset18

    op: Any = opset18  # its types know no list of numbers

    def unroll(
        key: str,
        fast: bool,
        keep_tape: bool,
        xs: FLOAT,
        state: Sequence[FLOAT],
        weights: Sequence[FLOAT],
    ) -> Sequence[FLOAT]:
        # No tape: derivatives are not exported, and nothing else reads it.
        cell = cell_of(key)
        order = order_in("onnx", cell)
        params: dict[str, Any] = dict(zip(NAMES[key], weights, strict=True))

        H = params["weight_hh"].shape[1]
        rows = reorder(np.arange(len(cell.gates) * H), cell.gates, order).tolist()

        def one_direction(value):
            return op.Unsqueeze(value, [0])

        def in_order(name):
            return op.Gather(one_direction(params[name]), rows, axis=1)

        P = [one_direction(params[name]) for name in peepholes(cell, order)]
        Y, *last = getattr(op, OPERATORS[cell.name])(
            xs,
            in_order("weight_ih"),
            in_order("weight_hh"),
            op.Concat(in_order("bias_ih"), in_order("bias_hh"), axis=1),
            None,  # every sequence is whole
            *map(one_direction, state),
            *([op.Concat(*P, axis=1)] if P else []),
            hidden_size=H,
            **attributes(cell, reset_after=True, directions=1),
        )
        return [op.Squeeze(Y, [1]), *(op.Squeeze(value, [0]) for value in last)]

    return {torch.ops.companion.unroll.default: unroll}
