"""Calls of torch's own operators: the same values and gradients, and not where they must not be."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from nn_cases import (
    OPTIONS,
    STACKED,
    TWINS,
    ProjectedLSTM,
    ProjectedPeepholeLSTM,
    ReluRNN,
    assert_close,
    call,
    make,
    results,
    tensors,
)

import companion
from companion.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, PeepholeLSTMCell, RNNCell, direct

EXACT = 1e-12  # float64: sums of some ten terms of order 1, in another order
DIRECT = [RNN, ReluRNN, GRU, ProjectedLSTM, LSTM]
EACH = OPTIONS | {
    "both ways": {"bidirectional": True, "num_layers": 2},
    "batch first": {"batch_first": True, "num_layers": 2},
}


def relu_cell(*sizes, **options):
    return RNNCell(*sizes, nonlinearity="relu", **options)


def _flat(found):
    y, last = found
    return (y, *last) if isinstance(last, tuple) else (y, last)


@pytest.fixture
def taken(monkeypatch):
    """Whether each call so far was one of torch's operators."""
    found = []
    for name in ("of_layer", "of_cell"):
        own = getattr(direct, name)

        def watched(*arguments, own=own):
            result = own(*arguments)
            found.append(result is not None)
            return result

        monkeypatch.setattr(direct, name, watched)
    return found


@pytest.mark.parametrize("alone", [False, True], ids=["batch", "without a batch"])
@pytest.mark.parametrize("options", EACH.values(), ids=EACH)
@pytest.mark.parametrize("layer", DIRECT)
def test_a_layer_of_one_step_has_the_engines_values_and_gradients(layer, options, alone, taken):
    ours, plain = make(layer, **options), make(layer, compiled=False, **options)
    x, state = tensors(ours, (1,) if alone else (5, 1) if ours.batch_first else (1, 5))
    assert_close(results(ours, x, state), results(plain, x, state), EXACT)
    assert taken == [True, False]
    with torch.no_grad():
        for kind in (ours, plain):
            kind.got = kind(x)
        assert_close(*(_flat(kind.got) for kind in (ours, plain)), EXACT)
    assert taken == [True, False] * 2
    y, last = ours.got
    assert type(last) is type(plain.got[1])
    h = last[0] if isinstance(last, tuple) else last
    kept = h.clone()
    y.zero_()
    assert torch.equal(h, kept)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [RNNCell, relu_cell, LSTMCell, GRUCell])
def test_a_single_cell_has_the_engines_values_and_gradients(kind, bias, taken):
    torch.manual_seed(0)
    cell = kind(3, 4, bias=bias, dtype=torch.float64)
    params = {name: value.detach().numpy() for name, value in cell.named_parameters()}
    for name in ("bias_ih", "bias_hh"):
        params.setdefault(name, np.zeros(len(params["weight_hh"])))
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(1, 5, 3)), rng.normal(size=(1, 5, 4))
    state = tuple(rng.normal(size=(5, 4)) for _ in cell.cell.states)
    given = [torch.tensor(value, requires_grad=True) for value in (x[0], *state)]
    for first, hx in ((None, None), (state, tuple(given[1:]) if len(state) > 1 else given[1])):
        ys, last, tape = companion.forward(cell.cell, params, x, first)
        found = cell(given[0], hx)
        after = found if len(state) > 1 else (found,)
        assert type(found) is (tuple if len(state) > 1 else torch.Tensor)
        assert_close(after, [torch.tensor(value) for value in last], EXACT)
    grads, dxs, dstate = companion.backward(cell.cell, params, tape, dy)
    got = torch.autograd.grad(after[0], (*given, *cell.parameters()), torch.tensor(dy[0]))
    own = [grads[name] for name, _ in cell.named_parameters()]
    assert_close(got, [torch.tensor(v) for v in (dxs[0], *dstate, *own)], EXACT)
    assert taken == [True, True]
    PeepholeLSTMCell(3, 4)(torch.zeros(5, 3))
    assert taken[2:] == [False]


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 5), {}),
        ((1, 0), {}),
        ((2,), {}),  # without a batch
        ((5,), {"batch_first": True}),
        ((1, 5), {"batch_first": True}),
        ((1, 5), {"compiled": False}),
        ((1, 5), {"recurrent_dropout": 0.5}),
    ],
)
def test_other_calls_of_a_layer_are_the_engines(shape, options, taken):
    made = make(GRU, **options)
    x, state = tensors(made, shape)
    call(made, x, state)
    assert taken == [False]


def test_dropout_is_between_layers_while_training(taken):
    ours, plain = (make(GRU, num_layers=3, dropout=0.5, compiled=c) for c in (True, False))
    x, state = tensors(ours, (1, 5))
    found = []
    for kind in (ours, plain):
        for train in (True, False):
            torch.manual_seed(7)
            found.append(call(kind.train(train), x, state))
    assert_close(found[0], found[2], EXACT)
    assert_close(found[1], found[3], EXACT)
    assert not torch.equal(found[0][0], found[1][0])
    assert taken == [True, True, False, False]


def test_a_projected_lstm_is_direct_for_short_sequences_and_many_units(taken, monkeypatch):
    monkeypatch.setattr(direct, "UNITS", 24)
    torch.manual_seed(0)
    for T, H in ((1, 2), (2, 16), (2, 17), (3, 24), (3, 25), (9, 24), (9, 25)):
        ours = LSTM(3, H, proj_size=1, dtype=torch.float64)
        theirs = torch.nn.LSTM(3, H, proj_size=1, dtype=torch.float64)
        theirs.load_state_dict(ours.state_dict())
        x = torch.randn(T, 5, 3, dtype=torch.float64)
        assert_close(_flat(ours(x)), _flat(theirs(x)), EXACT)
    assert taken == [True, False, True, False, True, False, True]


@pytest.mark.parametrize("layer", DIRECT)
def test_weights_that_are_no_longer_parameters_count_as_they_are(layer, taken):
    made, plain = make(layer, **STACKED), make(layer, compiled=False, **STACKED)
    for kind in (made, plain):
        torch.nn.utils.parametrize.register_parametrization(kind, "weight_hh_l1", torch.nn.Tanh())
    x, state = tensors(plain, (5, 1))
    assert_close(call(made, x, state), call(plain, x, state), EXACT)
    assert taken == [False, False]


class Marked(torch.Tensor):
    """A kind of tensor that may see each operation."""


def test_what_torch_does_slower_or_elsewhere_is_the_engines(taken):
    LSTM(3, 4)(torch.randn(1, 5, 3))
    LSTM(3, 4)(torch.randn(1, 3))
    GRU(3, 40)(torch.randn(2, 5, 3))
    assert GRUCell(3, 4)(torch.randn(3)).shape == (4,)
    GRU(3, 4, device="meta")(torch.randn(1, 5, 3, device="meta"))
    GRUCell(3, 4, device="meta")(torch.randn(5, 3, device="meta"))
    assert taken == [False] * 6


def test_what_is_followed_or_converted_is_the_engines(taken):
    layer, cell = GRU(3, 4), GRUCell(3, 4)
    x = torch.randn(1, 5, 3)
    layer(x.as_subclass(Marked)), cell(x[0].as_subclass(Marked))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x)[0].dtype == cell(x[0]).dtype == torch.bfloat16
    torch.func.jvp(lambda x: layer(x)[0], (x,), (x,))
    torch.func.jvp(cell, (x[0],), (x[0],))
    half = GRU(3, 4, dtype=torch.bfloat16)
    half(x.bfloat16())
    assert not any(taken) and len(taken) == 7
    # A trace, too, has to be right for what it did not see.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = torch.jit.trace(layer, (x,), check_trace=False)
    longer = torch.randn(6, 5, 3)
    assert not any(taken)
    assert_close(trace(longer)[:1], layer(longer)[:1], 1e-6)


@pytest.mark.parametrize(("kind", "shapes"), [(GRU, [(1, 5, 3), (6, 5, 3)]), (GRUCell, [(5, 3)])])
def test_a_compiled_program_holds_the_layer_as_one_operator(kind, shapes):
    module, graphs = kind(3, 4), []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(module, backend=backend, dynamic=True)
    for shape in shapes:
        x = torch.randn(shape)
        torch.testing.assert_close(compiled(x), module(x), rtol=0, atol=1e-6)
        assert "companion.unroll" in graphs[-1].code


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((1, 5, 2), None), r"input must have shape \(T, B, 3\) or \(T, 3\), got \(1, 5, 2\)"),
        (((1, 5, 3), (2, 5, 4)), r"h0 must have shape \(1, 5, 4\), got \(2, 5, 4\)"),
        (((1, 5, 3), (1, 5, 3)), r"h0 must have shape \(1, 5, 4\), got \(1, 5, 3\)"),
        (((1, 3), (1, 1, 4)), r"h0 must have shape \(1, 4\), got \(1, 1, 4\)"),
        (((1, 3), (2, 4)), r"h0 must have shape \(1, 4\), got \(2, 4\)"),
        (((3,), None), r"input must have shape \(T, B, 3\) or \(T, 3\), got \(3,\)"),
    ],
)
def test_what_does_not_fit_a_layer_is_named(given, message):
    x, hx = (None if shape is None else torch.zeros(shape) for shape in given)
    with pytest.raises(ValueError, match=message):
        GRU(3, 4)(x, hx)


def test_a_precision_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="input must be torch.float32 like the weights"):
        GRU(3, 4)(torch.zeros(1, 5, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="h0 must be torch.float32 like the weights"):
        GRU(3, 4)(torch.zeros(1, 5, 3), torch.zeros(1, 5, 4, dtype=torch.float64))
    for module in (GRU(3, 4), LSTMCell(3, 4)):
        with pytest.raises(ValueError, match="input must be a torch tensor, got ndarray"):
            module(np.zeros((1, 5, 3), np.float32))
    with pytest.raises(ValueError, match="h must be a torch tensor, got int"):
        GRUCell(3, 4)(torch.zeros(5, 3), 0)
    with pytest.raises(ValueError, match="input must be torch.float32 like the weights"):
        LSTMCell(3, 4)(torch.zeros(5, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"c must have shape \(5, 4\), got \(5, 3\)"):
        LSTMCell(3, 4)(torch.zeros(5, 3), (torch.zeros(5, 4), torch.zeros(5, 3)))
    for hx in (torch.zeros(2, 5, 4), (torch.zeros(5, 4),) * 3):
        with pytest.raises(ValueError, match=r"hx must be a tuple \(h, c\), got"):
            LSTMCell(3, 4)(torch.zeros(5, 3), hx)
    with pytest.raises(ValueError, match=r"hx must be a tuple \(h, c\), got tuple of 1"):
        LSTMCell(3, 4)(torch.zeros(5, 3), (torch.zeros(5, 4),))


@pytest.mark.parametrize("layer", [ProjectedLSTM, ProjectedPeepholeLSTM])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_one_step_of_a_projection_is_the_first_of_two(layer, options):
    made = make(layer, **options)
    x, state = tensors(made, (5, 2) if options else (2, 5))
    if made.bidirectional:  # the other way the first step is the last
        options = options | {"bidirectional": False, "num_layers": 1}
        made = make(layer, **options)
        state = [s[:1] for s in state]
    first = x[:, :1] if made.batch_first else x[:1]
    one, two = call(made, first, state)[0], call(made, x, state)[0]
    assert_close([one], [two[:, :1] if made.batch_first else two[:1]], EXACT)
    history = [made.history(value, tuple(state))["l0"] for value in (first, x)]
    for name, value in history[0].items():
        whole = history[1][name]
        assert_close([value], [whole[:, :1] if made.batch_first else whole[:1]], EXACT)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_one_step_of_a_projection_equals_torch(options):
    ours, theirs = make(ProjectedLSTM, **options), make(TWINS[ProjectedLSTM], **options)
    x, state = tensors(theirs, (5, 1) if options else (1, 5))
    assert_close(results(ours, x, state), results(theirs, x, state), EXACT)


def test_a_projection_warns_of_nothing_and_draws_nothing():
    direct._projected.cache_clear()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    torch.set_warn_always(True)  # what PyTorch says once in a process, anew
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert direct._projected() is torch.lstm
    finally:
        torch.set_warn_always(False)
    assert torch.equal(torch.get_rng_state(), before)
    code = (
        "import torch; from companion.nn import LSTM; LSTM(3, 4, proj_size=2)(torch.ones(1, 5, 3))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_projection_in_low_precision_keeps_its_states_in_it():
    made = LSTM(3, 8, proj_size=2, dtype=torch.bfloat16)
    y, (h, c) = made(torch.randn(1, 5, 3, dtype=torch.bfloat16))
    assert y.dtype == h.dtype == c.dtype == torch.bfloat16


def test_the_first_call_of_a_projection_with_another_default_device():
    code = (
        "import torch; from companion.nn import LSTM; "
        "made, x = LSTM(3, 20, proj_size=2), torch.randn(1, 4, 3); "
        "torch.set_default_device('meta'); assert made(x)[0].device.type == 'cpu'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
