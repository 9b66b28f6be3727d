"""Derivatives of the layers of companion.nn: first, second, compiled, mapped, in low precision."""

import copy

import pytest
import torch
from nn_cases import (
    CELL_LAYERS,
    LAYERS,
    STACKED,
    TWINS,
    ReluRNN,
    assert_close,
    call,
    make,
    results,
    tensors,
)
from torch.func import functional_call, grad, vmap

from companion.nn import LSTM, operators

EXACT = 1e-12
SMALL = {"stacked": {"num_layers": 2, "bidirectional": True}, "no bias": {"bias": False}}


@pytest.mark.parametrize("options", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("layer", LAYERS)
def test_first_and_second_derivatives(layer, options):
    made = make(layer, **options)
    x, state = tensors(made, (5, 2))
    names = [name for name, _ in made.named_parameters()]
    inputs = (x, *state, *made.parameters())

    def function(x, *rest):
        params = dict(zip(names, rest[len(state) :], strict=True))
        return call(made, x, rest[: len(state)], params)

    # Along random directions, of inputs and outputs, to torch's own tolerances. A product may
    # round otherwise at another address, so that a second run need not give the same bits.
    how = {"fast_mode": True, "nondet_tol": EXACT}
    assert torch.autograd.gradcheck(function, inputs, **how)
    assert torch.autograd.gradgradcheck(function, inputs, **how)


@pytest.mark.parametrize("layer", LAYERS)
def test_derivative_with_a_graph_is_the_derivative_without(layer):
    made = make(layer, **STACKED)
    x, state = tensors(made, (2, 5))
    loss = sum(value.pow(2).sum() for value in call(made, x, state))
    inputs = (x, *state, *made.parameters())
    plain = torch.autograd.grad(loss, inputs, retain_graph=True)
    assert_close(torch.autograd.grad(loss, inputs, create_graph=True), plain, EXACT)


@pytest.mark.parametrize("which", [0, -1], ids=["output", "last state"])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_loss_on_one_result_alone(layer, which):
    made = make(layer)
    x, state = tensors(made, (6, 5))
    assert torch.autograd.gradcheck(
        lambda *inputs: call(made, inputs[0], inputs[1:])[which], (x, *state), fast_mode=True
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_torch_func(layer):
    made = make(layer, **STACKED)
    params = dict(made.named_parameters())
    xs = torch.randn(3, 2, 5, 3, dtype=torch.float64)

    def loss(params, x):
        return functional_call(made, params, (x,))[0].pow(2).sum()

    each = [torch.autograd.grad(loss(params, x), params.values()) for x in xs]
    assert_close(grad(loss)(params, xs[0]).values(), each[0], EXACT)
    stacked = [torch.stack(values) for values in zip(*each, strict=True)]
    assert_close(vmap(grad(loss), (None, 0))(params, xs).values(), stacked, EXACT)
    total = grad(lambda params: vmap(loss, (None, 0))(params, xs).sum())(params)
    assert_close(total.values(), [value.sum(0) for value in stacked], EXACT)


@pytest.mark.parametrize("layer", LAYERS)
def test_compiles_as_one_graph(layer):
    torch._dynamo.reset()
    made = make(layer, **STACKED)
    size = made.proj_size or made.hidden_size
    model = torch.nn.ModuleDict({"layer": made, "readout": torch.nn.Linear(2 * size, 2).double()})

    def run(x):
        y, last = model["layer"](x)
        return model["readout"](y).sum() + sum(s.pow(2).sum() for s in last)

    fast = torch.compile(run, fullgraph=True, backend="aot_eager")
    for shape in ((2, 5), (3, 7), (4, 6)):
        x, _ = tensors(made, shape)
        inputs = (x, *made.parameters())
        ours, theirs = (torch.autograd.grad(f(x), inputs) for f in (fast, run))
        assert_close(ours, theirs, EXACT)
        with torch.no_grad():
            assert_close([fast(x)], [run(x)], EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layer", CELL_LAYERS)
def test_operators_are_what_they_say(layer, dtype):
    made = make(layer, dtype=dtype)
    x, state = tensors(made, (6, 5))
    x, *state = (value.detach() for value in (x, *(s[0] for s in state)))
    weights = [value.detach() for value in made.parameters()]
    tests = ("test_schema", "test_faketensor")  # nothing given is changed; shapes and dtypes
    for keep_tape in (True, False):
        inputs = made._key, True, keep_tape, x, state, weights
        torch.library.opcheck(torch.ops.companion.unroll.default, inputs, test_utils=tests)
    ys, *rest = operators.unroll(made._key, True, True, x, state, weights)
    inputs = made._key, True, ys, state, x, state, weights, rest[len(state) :]
    torch.library.opcheck(torch.ops.companion.unroll_backward.default, inputs, test_utils=tests)


def test_exports():
    made = make(LSTM, **STACKED)
    x, _ = tensors(made, (2, 5))
    exported = torch.export.export(made, (x,)).module()
    assert_close([exported(x)[0]], [made(x)[0]], EXACT)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_derivatives_no_tape_is_kept(mode, monkeypatch):
    made, kept, run = make(LSTM), [], operators.unroll
    x, state = tensors(made, (6, 5))

    def spy(*inputs):
        values = run(*inputs)
        kept.append(len(values))
        return values

    monkeypatch.setattr(operators, "unroll", spy)
    with mode():
        values = call(made, x, state)
    frozen = make(LSTM).requires_grad_(False)
    frozen(x.detach())
    assert kept == [3, 3]  # ys, h and c
    assert_close(values, call(made, x, state), EXACT)
    assert kept[2] == 3 + 2  # and the tape


def test_the_tape_is_freed_and_watched_like_torchs():
    made = make(LSTM)
    x, _ = tensors(made, (6, 5))
    y = made(x)[0]
    y.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()
    y = made(x)[0]
    with torch.no_grad():
        made.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("layer", LAYERS)
def test_autocast_and_bfloat16(layer):
    made = make(layer, dtype=torch.float32, **STACKED)
    x, state = tensors(made, (2, 5))
    wanted = results(made, x, state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = call(made, x, state)
    assert {value.dtype for value in values} == {torch.bfloat16}
    # bfloat16 has 8 bits: 4e-3 relative for each factor, over two layers of 5 steps.
    for a, b in zip(values, wanted, strict=False):
        assert (a.float() - b).abs().max() < 0.1
    sum(value.float().sum() for value in values).backward()
    assert {p.grad.dtype for p in made.parameters()} == {torch.float32}
    low = made.to(torch.bfloat16)
    inputs = x.detach().bfloat16(), [s.detach().bfloat16() for s in state]
    assert_close(call(low, *inputs), values, 1e-2)


def test_a_bfloat16_cell_state_adds_up_small_numbers():
    # c grows by tanh(0.1) a step: in bfloat16 it would stop at 32, where the next number is 32.25.
    low = torch.nn.LSTM(1, 1, dtype=torch.bfloat16)
    ours = LSTM(1, 1, dtype=torch.bfloat16)
    with torch.no_grad():
        for layer in (low, ours):
            for value in layer.parameters():
                value.zero_()
            layer.bias_ih_l0.copy_(torch.tensor([20.0, 20.0, 0.1, 20.0]))
    _, (_, c) = ours(torch.zeros(600, 1, 1, dtype=torch.bfloat16))
    assert abs(c.item() - 600 * 0.0997) < 0.5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layer", CELL_LAYERS)
def test_low_precision_is_that_of_products_alone(layer, dtype):
    made = make(layer, dtype=dtype)
    # One step from h = 0 with whole numbers and quarters: the products are exact.
    x = torch.tensor([[[1.0, 2.0, -1.0]]], dtype=dtype)
    with torch.no_grad():
        for value in made.parameters():
            value.copy_((4 * value).round() / 4)
    state = [torch.full((1, 1, 4), k, dtype=dtype) for k in (0.0, 0.5, 1.0, 0.25)]
    state = tuple(state[: len(made.cell.states)])
    hx = state if len(state) > 1 else state[0]
    exact = copy.deepcopy(made).float()
    wide = tuple(s.float() for s in state)
    wanted = exact.history(x.float(), wide if len(wide) > 1 else wide[0])["l0"]
    for name, value in made.history(x, hx)["l0"].items():
        # float32 rounds at 6e-8, bfloat16 at 4e-3.
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, wanted[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_history_of_several_layers_in_low_precision(layer):
    made = make(layer, dtype=torch.float32, num_layers=2)
    x, _ = tensors(made, (5, 2))
    wanted = made.history(x)["l1"]
    for name, value in made.bfloat16().history(x.bfloat16())["l1"].items():
        # bfloat16 has 8 bits: 4e-3 relative for each factor, over two layers of 5 steps.
        assert value.dtype == torch.float32 or name == "h"
        assert (value - wanted[name]).abs().max() < 0.1 * max(1, wanted[name].abs().max())


@pytest.mark.parametrize("layer", LAYERS)
def test_history_enters_a_loss(layer):
    made = make(layer, num_layers=2)
    x, state = tensors(made, (5, 2))

    def function(x, *state):
        hx = state if len(state) > 1 else state[0]
        return tuple(v for values in made.history(x, hx).values() for v in values.values())

    assert torch.autograd.gradcheck(function, (x, *state), fast_mode=True)


@pytest.mark.parametrize("T", [1, 5])
# torch has no ReLU of complex numbers.
@pytest.mark.parametrize("kind", [kind for kind in TWINS if kind is not ReluRNN])
def test_complex_numbers_have_torchs_gradients(kind, T):
    made = make(kind, dtype=torch.complex128)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1 + 0.3j)
    twin = TWINS[kind](3, 4, dtype=torch.complex128)
    twin.load_state_dict(made.state_dict())
    x, _ = tensors(made, (T, 2))

    def derivatives(layer):
        ys = layer(x)[0]
        loss = ((1 + 2j) * ys * ys).abs().sum()
        return ys, *torch.autograd.grad(loss, (x, *layer.parameters()))

    assert_close(derivatives(made), derivatives(twin), EXACT)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_features_made_in_inference_mode(layer, batch_first):
    made = make(layer, batch_first=batch_first)
    x, state = tensors(made, (4, 5))
    with torch.inference_mode():
        features = [value.detach().clone() for value in (x, *state)]
    found, wanted = (
        torch.autograd.grad(sum(v.pow(2).sum() for v in call(made, *given)), (*made.parameters(),))
        for given in (
            (features[0], features[1:]),
            (x.detach(), [value.detach() for value in state]),
        )
    )
    assert_close(found, wanted, EXACT)
