"""The layers of companion.nn are those of torch.nn, and the cells of the NumPy engine."""

import copy
import io
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from nn_cases import (
    CELL_LAYERS,
    LAYERS,
    OPTIONS,
    STACKED,
    TWINS,
    ProjectedLSTM,
    ProjectedPeepholeLSTM,
    assert_close,
    call,
    make,
    results,
    tensors,
)

import companion
from companion import Cell
from companion.nn import GRU, LSTM, RNN, CoupledLSTM, Layer, PeepholeLSTM, operators, torch_loops

# float64: sums of at most some hundred terms of order 1, in another order.
EXACT = 1e-12


@pytest.mark.parametrize("shape", [(6, 5), (1, 1), (6,)], ids=["batch", "one", "unbatched"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@pytest.mark.parametrize("layer", TWINS)
def test_equals_torch(layer, compiled, options, shape):
    ours, theirs = make(layer, compiled=compiled, **options), make(TWINS[layer], **options)
    x, state = tensors(theirs, shape)
    assert_close(results(ours, x, state), results(theirs, x, state), EXACT)


@pytest.mark.parametrize("layer", TWINS)
def test_no_state_is_zeros(layer):
    ours, theirs = make(layer, **STACKED), make(TWINS[layer], **STACKED)
    x, _ = tensors(theirs, (2, 5))
    assert_close([ours(x)[0]], [theirs(x)[0]], EXACT)


@pytest.mark.parametrize("layer", TWINS)
def test_state_dict_goes_both_ways(layer):
    ours, theirs = layer(3, 4, **STACKED), TWINS[layer](3, 4, **STACKED)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for a, b in ((ours, theirs), (theirs, ours)):
        b.load_state_dict(a.state_dict(), strict=True)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("layer", TWINS)
def test_equal_seeds_give_equal_first_weights(layer):
    made = []
    for kind in (layer, TWINS[layer]):
        torch.manual_seed(0)
        made.append(kind(3, 4, **STACKED))
    for a, b in zip(*(m.parameters() for m in made), strict=True):
        assert torch.equal(a, b)


def test_equal_seeds_give_equal_dropout():
    options = {"num_layers": 3, "dropout": 0.5}
    ours, theirs = make(LSTM, **options), make(torch.nn.LSTM, **options)
    x, state = tensors(theirs, (6, 5))
    outputs = []
    for kind in (ours, theirs):
        torch.manual_seed(7)
        outputs.append(call(kind, x, state))
    assert_close(*outputs, EXACT)
    assert not torch.equal(call(ours, x, state)[0], outputs[0][0])
    ours.eval(), theirs.eval()
    assert_close(call(ours, x, state), call(theirs, x, state), EXACT)


@pytest.mark.parametrize("layer", CELL_LAYERS)
def test_equals_the_numpy_engine(layer):
    made = make(layer)
    x, state = tensors(made, (6, 5))
    params = {name[:-3]: value.detach().numpy() for name, value in made.named_parameters()}
    first = tuple(s[0].detach().numpy() for s in state)
    ys, last, tape = companion.forward(made.cell, params, x.detach().numpy(), first)
    y, *final = call(made, x, state)
    assert_close([y, *final], [torch.tensor(v) for v in (ys, *(s[None] for s in last))], EXACT)
    dys = np.random.default_rng(0).normal(size=ys.shape)
    grads, dxs, dstate = companion.backward(made.cell, params, tape, dys)
    got = torch.autograd.grad(y, (x, *state, *made.parameters()), torch.tensor(dys))
    wanted = (dxs, *(d[None] for d in dstate), *grads.values())
    assert_close(got, [torch.tensor(v) for v in wanted], EXACT)


@pytest.mark.parametrize("layer", [ProjectedLSTM, ProjectedPeepholeLSTM])
def test_projected_is_the_step_written_out(layer):
    made = make(layer)
    x, state = tensors(made, (6, 5))
    w = {name.removesuffix("_l0"): value for name, value in made.named_parameters()}
    p = tuple(w[name] for name in made.cell.peepholes)
    h, c, ys = state[0][0], state[1][0], []
    for x_t in x:
        a = x_t @ w["weight_ih"].t() + w["bias_ih"] + h @ w["weight_hh"].t() + w["bias_hh"]
        (m, c), _ = made.cell.step(a.split(4, 1), (c,), p)
        h = m @ w["weight_hr"].t()
        ys.append(h)
    values = torch.stack(ys), h[None], c[None]
    loss = sum((value * torch.cos(value.detach() + k)).sum() for k, value in enumerate(values))
    grads = torch.autograd.grad(loss, (x, *state, *made.parameters()))
    assert_close(results(made, x, state), (*values, *grads), EXACT)


@pytest.mark.parametrize(("T", "B"), [(9, 5), (1, 1), (0, 2), (3, 0)])
@pytest.mark.parametrize("layer", LAYERS)
def test_torch_operations_equal_the_numpy_engine(layer, T, B, monkeypatch):
    monkeypatch.setattr(torch_loops, "BULK", 3 * 4 * 5)  # three steps at once, the last time fewer
    made = make(layer)
    x, state = tensors(made, (T, B))
    numpy_results = results(made, x, state)
    monkeypatch.setattr(operators, "_numpy_cell", lambda key, fast, xs: None)
    assert_close(results(made, x, state), numpy_results, EXACT)


def test_nothing_stacked_has_the_shape_of_what_is_not_there():
    like = torch.zeros(5, 4)
    assert torch_loops.stacked((), 2, like).shape == (2, 0, 5, 4)
    assert torch_loops.stacked(((),) * 3, 0, like).shape == (0, 3, 5, 4)


@pytest.mark.parametrize("layer", LAYERS)
def test_compiled_equals_plain_in_float32(layer):
    runs = [make(layer, dtype=torch.float32, compiled=compiled) for compiled in (True, False)]
    x, state = tensors(runs[0], (20, 5))
    # The rational tanh is right to 5e-7; weights of about 1 let an error grow over 20 steps.
    assert_close(*(results(run, x, state) for run in runs), 1e-4)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("layer", LAYERS)
def test_the_last_state_may_be_detached_in_place(layer, options):
    made = make(layer, **options)
    x, state = tensors(made, (6, 5))
    _, *last = call(made, x, state)
    for s in last:  # as programs do between the pieces of a long sequence; a view forbids it
        assert not s.detach_().requires_grad


def test_compiled_loops_run_where_they_are_wanted(monkeypatch):
    seen = []

    def watched(run):
        def spy(cell, *rest):
            seen.append(cell.loops is not None)
            return run(cell, *rest)

        return spy

    for name in ("forward_unchecked", "backward_unchecked"):
        monkeypatch.setattr(operators, name, watched(getattr(operators, name)))
    for compiled in (True, False):
        made = make(LSTM, compiled=compiled)
        results(made, *tensors(made, (6, 5)))
    assert seen == [True, True, False, False]


def test_without_numba_it_runs_all_the_same(monkeypatch):
    made = make(LSTM)
    x, state = tensors(made, (6, 5))
    wanted = results(made, x, state)
    monkeypatch.setitem(sys.modules, "numba", None)
    operators._compiled.cache_clear()
    assert operators._compiled("lstm") is None
    assert_close(results(made, x, state), wanted, EXACT)
    operators._compiled.cache_clear()


@pytest.mark.parametrize(("T", "B"), [(0, 2), (3, 0)])
@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_in_nothing_out(layer, T, B):
    made = make(layer, num_layers=2, bidirectional=True)
    x, state = tensors(made, (T, B))
    y, *last = call(made, x, state)
    assert y.shape == (T, B, 2 * (made.proj_size or 4))
    if T == 0:
        assert all(torch.equal(a, b) for a, b in zip(last, state, strict=True))
    (y.sum() + sum(s.sum() for s in last)).backward()
    assert not any(p.grad.any() for p in made.parameters())


@pytest.mark.parametrize("layer", LAYERS)
def test_copies_give_the_same(layer):
    made = make(layer, **STACKED)
    x, state = tensors(made, (2, 5))
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    loaded = make(layer, seed=5, **STACKED)
    loaded.load_state_dict(torch.load(file, weights_only=True), strict=True)
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), loaded):
        assert torch.equal(call(other, x, state)[0], call(made, x, state)[0])
    assert made.to(torch.float32)(x.float())[0].dtype == torch.float32


def test_text_is_that_of_torch():
    options = {"num_layers": 2, "bias": False, "dropout": 0.1, **STACKED}
    for layer, twin in TWINS.items():
        assert repr(layer(3, 4, **options)) == repr(twin(3, 4, **options))
        assert repr(layer(3, 4)) == repr(twin(3, 4))
    assert repr(PeepholeLSTM(3, 4, forget_bias=1)) == "PeepholeLSTM(3, 4, forget_bias=1)"


def test_names_of_peepholes():
    names = set(PeepholeLSTM(3, 4, num_layers=2, bidirectional=True).state_dict())
    assert {"p_i_l0", "p_f_l0_reverse", "p_o_l1", "p_i_l1_reverse"} < names


@pytest.mark.parametrize("layer", [LSTM, PeepholeLSTM, CoupledLSTM, GRU])
def test_forget_bias_is_the_bias_of_the_forget_gate(layer):
    made = layer(3, 4, 2, bidirectional=True, forget_bias=2.5)
    with torch.no_grad():
        for name, value in made.named_parameters():
            if not name.startswith("bias"):
                value.zero_()
    history = made.history(torch.zeros(1, 1, 3))
    for values in history.values():
        # Zero weights: what is left of the gate is its bias. float32 rounds at 6e-8.
        kept, other = ("z", "r") if layer is GRU else ("f", "o")
        torch.testing.assert_close(values[kept], torch.sigmoid(torch.full((1, 1, 4), 2.5)))
        assert values[other].std() > 0  # the other biases are random still


def test_recurrent_dropout():
    made = make(LSTM, recurrent_dropout=1.0)
    x, state = tensors(made, (6, 5))
    without = make(LSTM)
    assert_close(call(made.eval(), x, state), call(without, x, state), EXACT)
    with torch.no_grad():
        without.weight_hh_l0.zero_()
    assert_close(call(made.train(), x, state), call(without, x, state), EXACT)
    made.recurrent_dropout = 0.5
    seen = {call(made, x, state)[0].sum().item() for _ in range(3)}
    assert len(seen) == 3


def test_a_cell_of_your_own_is_a_layer():
    def step(a, carry, p):
        (ah,) = a
        return (ah / (1 + abs(ah)),), (ah,)

    def derivative(dstate, state, kept, carry, p):
        (dh,), (ah,) = dstate, kept
        return (dh / ((1 + abs(ah)) * (1 + abs(ah))),), (), ()

    class Softsign(Layer):
        cell = companion.Cell("softsign", ("h",), ("h",), (), ("a",), step, derivative)

    class OtherOfTheSameName(Layer):
        cell = replace(RNN.cell, name="softsign")

    x, state = tensors(make(Softsign), (5, 2))
    made = make(Softsign, num_layers=2, compiled=False)
    inputs = x, torch.cat([*state, *state]).detach().requires_grad_()
    assert torch.autograd.gradcheck(made, inputs)
    assert_close([make(OtherOfTheSameName)(x)[0]], [make(RNN)(x)[0]], EXACT)
    one = make(Softsign, compiled=False)
    a = one.weight_ih_l0 @ x[0, 0] + one.bias_ih_l0 + one.bias_hh_l0
    assert_close([one(x[:1, :1])[0][0, 0]], [a / (1 + abs(a))], EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_are_the_derivative_along_each_state(dtype):
    h = torch.tensor([7, 0, -3, torch.inf, 7], dtype=dtype)

    def derivative(dstate, state, kept, carry, p):
        dh, dc = dstate
        seen.append((*state, *kept, *carry))
        return (dh * kept[0] - 3 * dc,), (dc,), ()

    cell, seen = Cell("own", ("a",), ("h", "c"), ("c",), ("k",), None, derivative), []
    kept = torch.tensor([[9, 0.5, -1, 7]], dtype=dtype)
    k = kept[0, 1:]
    found = torch_loops.slopes(cell, torch.stack([h, h + 1]), kept, (), slice(1, 4))
    for slope, wanted in zip(found, [(k, 0 * k), (-3 + 0 * k, 1 + 0 * k)], strict=True):
        torch.testing.assert_close(torch.stack(slope), torch.stack(wanted), rtol=0, atol=0)
    for values in seen:
        wanted = torch.stack([h[2:], h[2:] + 1, k, h[1:4] + 1])
        torch.testing.assert_close(torch.stack(values), wanted, rtol=0, atol=0)
