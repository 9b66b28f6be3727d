"""What the layers of companion.nn take: layouts, packed sequences, and what they refuse."""

import importlib
import math
import sys

import numpy as np
import pytest
import torch
from nn_cases import CELL_LAYERS, LAYERS, STACKED, TWINS, assert_close, call, make, tensors
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import companion
from companion.nn import GRU, LSTM, RNN, PeepholeLSTM

EXACT = 1e-12
LENGTHS = [4, 7, 1, 4, 6]


def packed_results(layer, x, state, ordered):
    lengths = sorted(LENGTHS, reverse=True) if ordered else LENGTHS
    packed = pack_padded_sequence(x, lengths, layer.batch_first, enforce_sorted=ordered)
    y, *last = call(layer, packed, state)
    assert isinstance(y, PackedSequence)
    padded, found = pad_packed_sequence(y, layer.batch_first)
    assert found.tolist() == lengths
    loss = padded.pow(2).sum() + sum(s.sin().sum() for s in last)
    return padded, *last, *torch.autograd.grad(loss, (x, *state, *layer.parameters()))


@pytest.mark.parametrize("ordered", [True, False], ids=["sorted", "unsorted"])
@pytest.mark.parametrize("layer", TWINS)
def test_packed_equals_torch(layer, ordered):
    ours, theirs = make(layer, **STACKED), make(TWINS[layer], **STACKED)
    x, state = tensors(theirs, (5, 7))
    assert_close(*(packed_results(m, x, state, ordered) for m in (ours, theirs)), EXACT)


@pytest.mark.parametrize("layer", LAYERS)
def test_packed_is_each_sequence_alone(layer):
    made = make(layer, **STACKED)
    x, state = tensors(made, (5, 7))
    padded, *last = packed_results(made, x, state, False)[: 1 + len(state)]
    for k, length in enumerate(LENGTHS):
        alone, *final = call(made, x[k, :length], [s[:, k] for s in state])
        assert_close([padded[k, :length], *(s[:, k] for s in last)], [alone, *final], EXACT)
        assert not padded[k, length:].any()
    packed = pack_padded_sequence(x, LENGTHS, True, enforce_sorted=False)
    zeros = [torch.zeros_like(s) for s in state]
    assert torch.equal(made(packed)[0].data, call(made, packed, zeros)[0].data)


@pytest.mark.parametrize("layer", CELL_LAYERS)
def test_history_is_that_of_the_numpy_engine(layer):
    made = make(layer, num_layers=2, bidirectional=True)
    x, state = tensors(made, (6, 5))
    values = made.history(x, tuple(state) if len(state) > 1 else state[0])
    assert list(values) == ["l0", "l0_reverse", "l1", "l1_reverse"]
    xs = x.detach().numpy()
    for k, (key, got) in enumerate(values.items()):
        params = {
            name.removesuffix(f"_{key}"): value.detach().numpy()
            for name, value in made.named_parameters()
            if name.endswith(f"_{key}")
        }
        if k == 2:
            both = [values[key]["h"].detach().numpy() for key in ("l0", "l0_reverse")]
            xs = np.concatenate(both, axis=2)
        turn = slice(None, None, -1 if key.endswith("reverse") else 1)
        first = tuple(s[k].detach().numpy() for s in state)
        _, _, tape = companion.forward(made.cell, params, xs[turn].copy(), first)
        wanted = companion.history(made.cell, tape)
        assert set(got) == set(wanted)
        for name, value in wanted.items():
            np.testing.assert_allclose(got[name].detach().numpy(), value[turn], atol=EXACT)


@pytest.mark.parametrize("layer", LAYERS)
def test_history_is_laid_out_like_the_input(layer):
    made = make(layer, **STACKED)
    x, _ = tensors(made, (2, 5))
    last = made.history(x)["l1"]["h"], made.history(x)["l1_reverse"]["h"]
    assert_close([torch.cat(last, 2)], [made(x)[0]], EXACT)
    assert_close([made.history(x[1])["l1"]["h"]], [last[0][1]], EXACT)
    packed = pack_padded_sequence(x, [3, 5], True, enforce_sorted=False)
    parts = [made.history(packed)[key]["h"] for key in ("l1", "l1_reverse")]
    padded = [pad_packed_sequence(part, True)[0] for part in parts]
    wanted, _ = pad_packed_sequence(made(packed)[0], True)
    assert_close([torch.cat(padded, 2)], [wanted], EXACT)


projected = LSTM(3, 4, proj_size=2)
lstm, gru, stack = LSTM(3, 4), GRU(3, 4), LSTM(3, 4, 2, bidirectional=True, batch_first=True)
x, h = torch.zeros(6, 5, 3), torch.zeros(1, 5, 4)
too_long = pack_padded_sequence(torch.zeros(6, 3, 3), [9, 3, 2])
too_many = PackedSequence(torch.zeros(12, 3), torch.tensor([5, 4, 2]))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: LSTM(0, 4), "input_size must be a whole number of at least 1, got 0"),
        (lambda: LSTM(3, 2.5), "hidden_size must be a whole number of at least 1, got 2.5"),
        (lambda: LSTM(3, 4, True), "num_layers must be a whole number of at least 1, got True"),
        (lambda: LSTM(3, 4, 1, 2), "bias must be True or False, got 2"),
        (lambda: LSTM(3, 4, dropout=1.5), "dropout must be a probability from 0 to 1, got 1.5"),
        (lambda: LSTM(3, 4, recurrent_dropout=True), "recurrent_dropout must be a probability"),
        (lambda: LSTM(3, 4, proj_size=4), "proj_size must be a whole number from 0 to 3, got 4"),
        (lambda: LSTM(3, 4, proj_size=-1), "proj_size must be a whole number from 0 to 3, got -1"),
        (lambda: LSTM(3, 4, proj_size=True), "proj_size must be a whole number from 0 to 3, got T"),
        (lambda: RNN(3, 4, proj_size=2), "proj_size must be 0 for a rnn layer, got 2"),
        (lambda: GRU(3, 4, proj_size=2), "proj_size must be 0 for a gru layer, got 2"),
        (lambda: projected(x, (h, h)), r"h0 must have shape \(1, 5, 2\), got \(1, 5, 4\)"),
        (lambda: RNN(3, 4, nonlinearity="sin"), "nonlinearity must be 'tanh' or 'relu', got"),
        (lambda: RNN(3, 4, forget_bias=1), "forget_bias must be None for a rnn layer, got 1"),
        (lambda: LSTM(3, 4, bias=False, forget_bias=1), "None for a layer without biases, got 1"),
        (
            lambda: LSTM(3, 4, forget_bias="1"),
            "forget_bias must be a finite number or None, got '1'",
        ),
        (
            lambda: LSTM(3, 4, forget_bias=True),
            "forget_bias must be a finite number or None, got T",
        ),
        (lambda: LSTM(3, 4, forget_bias=math.inf), "a finite number or None, got inf"),
        (lambda: lstm(x.numpy()), "input must be a torch tensor, got ndarray; torch.from_numpy"),
        (lambda: lstm([1.0]), "input must be a torch tensor, got list"),
        (lambda: lstm(x.double()), "input must be torch.float32 like the weights, got torch.flo"),
        (lambda: lstm(x.long()), "input must be torch.float32 like the weights, got torch.int64"),
        (lambda: lstm(x.to("meta")), "input must be on cpu like the weights, got meta"),
        (lambda: lstm(x[..., :2]), r"shape \(T, B, 3\) or \(T, 3\), got \(6, 5, 2\)"),
        (lambda: stack(x[..., :2]), r"shape \(B, T, 3\) or \(T, 3\), got \(6, 5, 2\)"),
        (lambda: lstm(x[None]), r"shape \(T, B, 3\) or \(T, 3\), got \(1, 6, 5, 3\)"),
        (lambda: lstm(x, h), r"hx must be a tuple \(h0, c0\), got Tensor"),
        (lambda: lstm(x, (h,)), r"hx must be a tuple \(h0, c0\), got tuple of 1"),
        (lambda: gru(x, (h, h)), "h0 must be a torch tensor, got tuple"),
        (lambda: lstm(x, (h, h[:, :2])), r"c0 must have shape \(1, 5, 4\), got \(1, 2, 4\)"),
        (lambda: lstm(x, (h.double(), h)), "h0 must be torch.float32 like the weights"),
        (lambda: lstm(x[:, 0], (h, h)), r"h0 must have shape \(1, 4\), got \(1, 5, 4\)"),
        (lambda: stack(x, (h, h)), r"h0 must have shape \(4, 6, 4\), got \(1, 5, 4\)"),
        (lambda: lstm(too_many), "must hold 11 steps, the sum of its lengths, got 12"),
        (lambda: lstm(too_long), "must hold 14 steps, the sum of its lengths, got 11: a length is"),
        (
            lambda: lstm(pack_padded_sequence(x[..., :2], [6, 6, 6, 6, 6])),
            r"input.data must have shape \(N, 3\), got \(30, 2\)",
        ),
    ],
)
def test_errors_say_what_was_given_and_what_is_wanted(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_dropout_that_does_nothing_warns():
    with pytest.warns(UserWarning, match="with num_layers=1, 0.5 does nothing"):
        PeepholeLSTM(3, 4, dropout=0.5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer", LAYERS)
def test_what_programs_read_of_a_torch_layer_is_there(layer, bias):
    options = {"num_layers": 2, "bidirectional": True, "bias": bias}
    made, twin = layer(3, 4, **options), TWINS.get(layer, torch.nn.LSTM)(3, 4, **options)
    made.flatten_parameters()
    assert (made.input_size, made.hidden_size) == (3, 4)
    if layer in TWINS:
        assert (made.mode, made.proj_size) == (twin.mode, twin.proj_size)
        assert made._all_weights == twin._all_weights
    parameters = list(made.parameters())
    for found in (made._flat_weights, sum(made.all_weights, [])):
        assert all(a is b for a, b in zip(found, parameters, strict=True))
    for x, sizes in ((torch.zeros(6, 5, 3), None), (torch.zeros(30, 3), torch.tensor([7, 5, 1]))):
        for name in ("get_expected_hidden_size", "get_expected_cell_size"):
            reference = torch.nn.LSTM(3, 4, proj_size=made.proj_size, **options)
            wanted = getattr(reference, name)(x, sizes)
            assert getattr(made, name)(x, sizes) == wanted
    first = layer(3, 4, batch_first=True).get_expected_hidden_size(torch.zeros(6, 5, 3), None)
    assert first == (1, 6, made.proj_size or 4)


def test_a_layer_that_was_pickled_before_there_were_projections():
    made = LSTM(3, 4)
    x, wanted = torch.ones(6, 5, 3), made(torch.ones(6, 5, 3))
    del made.__dict__["proj_size"]
    assert torch.equal(made(x)[0], wanted[0])
    assert made.get_expected_hidden_size(x, None) == (1, 5, 4)


def test_that_it_is_not_quantized_is_said_of_the_line_that_wants_it():
    made = LSTM(3, 4)
    with pytest.warns(UserWarning, match="LSTM is not quantized") as caught:
        made.qconfig = None
    assert caught[0].filename == __file__


def test_modes_of_layers_that_torch_has_not():
    assert PeepholeLSTM(3, 4).mode == "PEEPHOLE"
    assert RNN(3, 4, 2, "tanh", False).bias is False


def test_numbers_and_flags_of_other_kinds():
    whole, yes = np.int64(2), np.bool_(True)
    made = LSTM(whole, np.int32(4), whole, batch_first=yes, bidirectional=1, bias=0)
    assert repr(made) == repr(LSTM(2, 4, 2, batch_first=True, bidirectional=True, bias=False))
    assert {type(made.num_layers), type(made.bidirectional), type(made.batch_first)} == {int, bool}
    assert made(torch.zeros(5, 7, 2))[0].shape == (5, 7, 8)


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "companion.nn")
    with pytest.raises(ImportError, match="companion.nn needs PyTorch: pip install torch"):
        importlib.import_module("companion.nn")


@pytest.mark.parametrize("layer", [LSTM, PeepholeLSTM, GRU])
def test_a_trace_keeps_no_lengths(layer):
    class Packed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer(3, 4)

        def forward(self, x, lengths):
            return self.layer(pack_padded_sequence(x, lengths))[0].data

    with pytest.raises(ValueError, match="input must be a tensor while a model is exported or t"):
        torch.jit.trace(Packed(), (torch.randn(5, 3, 3), torch.tensor([5, 3, 2])))
