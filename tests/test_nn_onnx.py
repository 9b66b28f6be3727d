"""Whole models with layers of companion.nn as ONNX, by PyTorch's exporter, run in ONNX Runtime."""

from collections import Counter
from dataclasses import replace

import onnx
import onnxruntime
import pytest
import torch
import torch.onnx.testing
from nn_cases import STACKED
from onnxruntime.quantization import quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch.export import Dim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from companion import CELLS
from companion.nn import (
    GRU,
    LSTM,
    RNN,
    SLSTM,
    CoupledLSTM,
    Layer,
    LSTMCell,
    PeepholeLSTM,
    onnx_table,
)

OPERATORS = {RNN: "RNN", LSTM: "LSTM", PeepholeLSTM: "LSTM", CoupledLSTM: "LSTM", GRU: "GRU"}
# Options of the layer, and whether a first state is given.
CASES = {
    "one": ({}, True),
    "bidirectional": ({"bidirectional": True, "bias": False}, False),
    "stacked": (STACKED, True),
}
# Dimensions of x that are dynamic; T first, or B.
DYNAMIC = {False: {0: Dim("T"), 1: Dim("B")}, True: {0: Dim("B"), 1: Dim("T")}}
# Values of order 1 in float32, over some steps and layers.
CLOSE = {"rtol": 0, "atol": 3e-6}
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of PyTorch's own


class Tagger(torch.nn.Module):
    """An embedding, a recurrent network with weights of about 0.5, and a linear layer."""

    def __init__(self, layer, H=5, **options):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(11, 4)
        self.lstm = layer(4, H, **options)
        self.readout = torch.nn.Linear(H * (1 + self.lstm.bidirectional), 3)
        for parameter in self.lstm.parameters():
            torch.nn.init.uniform_(parameter, -0.7, 0.7)
        self.eval()

    def forward(self, x, hx=None):
        y, last = self.lstm(self.embedding(x), hx)
        return self.readout(y), last


def export(model, args, dynamic=None, **options):
    table = onnx_table()
    options |= {"dynamic_shapes": dynamic, "custom_translation_table": table, "verbose": False}
    return torch.onnx.export(model, args, dynamo=True, **options)


def words(layer, T, B):
    return torch.randint(11, (B, T) if layer.batch_first else (T, B))


def first_state(layer, B):
    count = layer.num_layers * (1 + layer.bidirectional)
    state = tuple(torch.randn(count, B, layer.hidden_size) for _ in layer.cell.states)
    return state if len(state) > 1 else state[0]


def flat(values):
    leaves, _ = torch.utils._pytree.tree_flatten(values)
    return tuple(leaves)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", OPERATORS)
def test_a_whole_model_in_onnx_runtime(kind, case):
    options, given = CASES[case]
    model = Tagger(kind, **options)
    layer = model.lstm
    dynamic = {"x": DYNAMIC[layer.batch_first]}
    args = (words(layer, 6, 2),)
    if given:
        state = first_state(layer, 2)
        batch = {1: DYNAMIC[layer.batch_first][0 if layer.batch_first else 1]}
        dynamic["hx"] = tuple(batch for _ in state) if isinstance(state, tuple) else batch
        args += (state,)
    program = export(model, args, dynamic)
    onnx.checker.check_model(program.model_proto, full_check=True)
    kinds = Counter(node.op_type for node in program.model_proto.graph.node)
    assert kinds[OPERATORS[kind]] == layer.num_layers * (1 + layer.bidirectional)
    assert not {"Loop", "Scan", "Sigmoid", "Tanh"} & kinds.keys()
    for T, B in ((6, 2), (1, 1), (9, 3)):
        args = (words(layer, T, B), *([first_state(layer, B)] if given else []))
        with torch.no_grad():
            wanted = flat(model(*args))
        torch.testing.assert_close(tuple(program(*args)), wanted, **CLOSE)


def test_weights_keep_their_names_and_a_file_holds_all(tmp_path):
    # Too large for the exporter to compute the weights in ONNX's order, as it does for small ones.
    model = Tagger(GRU, H=160)
    x = words(model.lstm, 6, 2)
    export(model, (x,), input_names=["x"]).save(tmp_path / "model.onnx")
    stored = onnx.load(tmp_path / "model.onnx").graph.initializer
    assert model.state_dict().keys() >= {"lstm.weight_hh_l0"} <= {tensor.name for tensor in stored}
    session = onnxruntime.InferenceSession(
        tmp_path / "model.onnx", providers=["CPUExecutionProvider"]
    )
    y, *_ = session.run(None, {"x": x.numpy()})
    # A sum of 160 products.
    torch.testing.assert_close(torch.from_numpy(y), model(x)[0].detach(), rtol=0, atol=2e-5)


def test_what_was_exported_before_and_what_pytorch_checks():
    model = Tagger(PeepholeLSTM, num_layers=2)
    args = (words(model.lstm, 6, 2), first_state(model.lstm, 2))
    program = export(torch.export.export(model, args), ())
    torch.onnx.testing.assert_onnx_program(program, strategy=None, **CLOSE)
    frozen = export(model.requires_grad_(False), args)
    torch.onnx.testing.assert_onnx_program(frozen, **CLOSE)


def test_one_sequence_without_a_batch():
    model = Tagger(LSTM, bidirectional=True)
    program = export(model, (torch.randint(11, (6,)),), {"x": {0: Dim("T")}})
    x = torch.randint(11, (9,))
    torch.testing.assert_close(tuple(program(x)), flat(model(x)), **CLOSE)


@pytest.mark.parametrize("made", [LSTM(3, 5, proj_size=2), RNN(3, 5, nonlinearity="relu")])
def test_projected_and_with_relu(made):
    model = made.eval()
    program = export(model, (torch.randn(6, 2, 3),), {"input": DYNAMIC[False]})
    x = torch.randn(9, 3, 3)
    torch.testing.assert_close(tuple(program(x)), flat(model(x)), **CLOSE)


class Another(Layer):
    """With a cell that has a name of the package's, and computes something else."""

    cell = replace(CELLS["lstm"], step=lambda a, carry, p: CELLS["lstm"].step(a[::-1], carry, p))


@pytest.mark.parametrize(
    ("kind", "got"), [(SLSTM, "slstm"), (Another, "another cell of the name lstm")]
)
def test_a_cell_that_onnx_has_not_is_refused(kind, got):
    with pytest.raises(torch.onnx.OnnxExporterError) as caught:
        export(kind(3, 4).eval(), (torch.randn(6, 2, 3),))
    assert f"one of rnn, rnn_relu, lstm, peephole, coupled, gru for onnx, got {got}" in str(
        caught.value
    )


@pytest.mark.parametrize("kind", [LSTM, PeepholeLSTM, CoupledLSTM])
def test_weights_in_int8(kind, tmp_path):
    model = Tagger(kind, H=64, bidirectional=True)
    files = [tmp_path / name for name in ("model.onnx", "in_order.onnx", "int8.onnx")]
    x = words(model.lstm, 6, 2)
    export(model, (x,), input_names=["x"]).save(files[0])
    quant_pre_process(*files[:2], skip_symbolic_shape=True)
    quantize_dynamic(*files[1:], op_types_to_quantize=["LSTM", "MatMul"])
    kinds = {node.op_type for node in onnx.load(files[2]).graph.node}
    assert "DynamicQuantizeLSTM" in kinds and "LSTM" not in kinds
    session = onnxruntime.InferenceSession(files[2], providers=["CPUExecutionProvider"])
    y, wanted = session.run(None, {"x": x.numpy()})[0], model(x)[0].detach().numpy()
    # A weight of at most 0.7 in steps of 0.7 / 127: off by 0.4 % of it, and by chance.
    assert 1e-6 < abs(y - wanted).max() < 0.05 * abs(wanted).max()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("made", [LSTM(3, 4), PeepholeLSTM(3, 4, 2), LSTMCell(3, 4)])
def test_pytorch_does_not_pass_a_layer_by_in_silence(made):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), made)
    with pytest.warns(UserWarning, match=f"{type(made).__name__} is not quantized and stays"):
        quantized = torch.ao.quantization.quantize_dynamic(model)
    assert type(quantized[0]) is not torch.nn.Linear
    x = torch.randn(6, 3)
    torch.testing.assert_close(quantized[1](x), made(x), rtol=0, atol=0)


class Packing(Tagger):
    def forward(self, x, lengths):
        x = pack_padded_sequence(self.embedding(x), lengths, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(x)[0])


def test_lengths_are_refused():
    model = Packing(LSTM)
    with pytest.raises(ValueError, match="input must be a tensor while a model is exported"):
        torch.export.export(model, (words(model.lstm, 6, 2), torch.tensor([6, 4])))
