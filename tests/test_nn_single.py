"""Single steps are those of torch.nn's cells, and one after the other they are a layer."""

import pytest
import torch
from nn_cases import assert_close

from companion.cells import CELLS
from companion.nn import (
    GRU,
    LSTM,
    RNN,
    CoupledLSTM,
    GRUCell,
    LSTMCell,
    PeepholeLSTM,
    PeepholeLSTMCell,
    RNNCell,
    SingleCell,
)

EXACT = 1e-12  # float64: sums of some ten terms of order 1, in another order


class CoupledLSTMCell(SingleCell):
    """A cell that torch has not, as a user would add it."""

    cell = CELLS["coupled"]


def ReluRNNCell(*sizes, **options):
    """An RNN with ReLU."""
    return RNNCell(*sizes, nonlinearity="relu", **options)


def relu_twin(*sizes, **options):
    """torch's."""
    return torch.nn.RNNCell(*sizes, nonlinearity="relu", **options)


TWINS = {
    RNNCell: torch.nn.RNNCell,
    ReluRNNCell: relu_twin,
    LSTMCell: torch.nn.LSTMCell,
    GRUCell: torch.nn.GRUCell,
}
LAYERS = {
    RNNCell: RNN,
    LSTMCell: LSTM,
    PeepholeLSTMCell: PeepholeLSTM,
    CoupledLSTMCell: CoupledLSTM,
    GRUCell: GRU,
}
ALL = [*LAYERS, ReluRNNCell]


def make(kind, seed=0, **options):
    """A cell of 3 inputs and 4 units with weights of about 0.5."""
    torch.manual_seed(seed)
    made = kind(3, 4, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-1, 1)
    return made


def tensors(kind, batch, T=5):
    """Inputs of T steps and a first state, one tensor or two."""
    torch.manual_seed(1)
    how = {"dtype": torch.float64, "requires_grad": True}
    states = 2 if "LSTM" in kind.__name__ else 1
    return torch.randn(T, *batch, 3, **how), [torch.randn(*batch, 4, **how) for _ in range(states)]


def steps(made, x, state):
    """The state after every step, for one state after the other."""
    hx, seen = tuple(state) if len(state) > 1 else state[0], []
    for x_t in x:
        hx = made(x_t, hx)
        seen.append(hx if len(state) > 1 else (hx,))
    return [torch.stack(values) for values in zip(*seen, strict=True)]


def results(values, leaves):
    """Values, and the derivatives of a loss on all of them."""
    loss = sum((value * torch.cos(value.detach() + k)).sum() for k, value in enumerate(values))
    return *values, *torch.autograd.grad(loss, leaves)


@pytest.mark.parametrize("batch", [(5,), (1,), (0,), ()], ids=["batch", "one", "none", "unbatched"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", TWINS)
def test_equals_torch(kind, bias, batch):
    ours, theirs = make(kind, bias=bias), make(TWINS[kind], bias=bias)
    x, state = tensors(kind, batch)
    got, wanted = (
        results(steps(made, x, state), (x, *state, *made.parameters())) for made in (ours, theirs)
    )
    assert_close(got, wanted, EXACT)


@pytest.mark.parametrize("batch", [(5,), ()])
@pytest.mark.parametrize("kind", TWINS)
def test_no_state_is_zeros(kind, batch):
    x, state = tensors(kind, batch)
    got, wanted = (make(cell)(x[0]) for cell in (kind, TWINS[kind]))
    assert_close(*((hx if len(state) > 1 else [hx]) for hx in (got, wanted)), EXACT)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", TWINS)
def test_names_first_values_and_text_are_those_of_torch(kind, bias):
    torch.manual_seed(0)
    ours = kind(3, 4, bias=bias)
    torch.manual_seed(0)
    theirs = TWINS[kind](3, 4, bias=bias)
    assert list(ours.state_dict()) == list(theirs.state_dict()) and repr(ours) == repr(theirs)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (ours.bias_ih is None) == (theirs.bias_ih is None)
    for a, b in ((ours, theirs), (theirs, ours)):
        b.load_state_dict(a.state_dict(), strict=True)


@pytest.mark.parametrize("kind", LAYERS)
def test_steps_one_after_the_other_are_a_layer(kind):
    made, layer = make(kind), LAYERS[kind](3, 4, dtype=torch.float64)
    layer.load_state_dict({f"{name}_l0": value for name, value in made.state_dict().items()})
    x, state = tensors(kind, (5,))
    values = steps(made, x, state)
    hx = tuple(s[None] for s in state)
    y, last = layer(x, hx if len(hx) > 1 else hx[0])
    last = last if isinstance(last, tuple) else (last,)
    leaves, own = (x, *state, *made.parameters()), (x, *state, *layer.parameters())
    got = results([values[0], *(v[-1:] for v in values)], leaves)
    assert_close(got, results([y, *last], own), EXACT)


@pytest.mark.parametrize("kind", ALL)
def test_second_derivatives(kind):
    made = make(kind)
    x, state = tensors(kind, (2,), T=3)
    inputs = (x, *state)
    how = {"fast_mode": True, "nondet_tol": EXACT}
    assert torch.autograd.gradgradcheck(lambda x, *s: tuple(steps(made, x, s)), inputs, **how)


@pytest.mark.parametrize("kind", ALL)
def test_compiles_as_one_graph_and_exports(kind):
    torch._dynamo.reset()
    made = make(kind)
    x, state = tensors(kind, (5,))
    fast = torch.compile(made, fullgraph=True, backend="aot_eager")
    leaves = (x, *state, *made.parameters())
    got, wanted = (results(steps(run, x, state), leaves) for run in (fast, made))
    assert_close(got, wanted, EXACT)
    hx = tuple(state) if len(state) > 1 else state[0]
    B = torch.export.Dim("B")
    dynamic = {"input": {0: B}, "hx": ({0: B},) * 2 if len(state) > 1 else {0: B}}
    exported = torch.export.export(made, (x[0], hx), dynamic_shapes=dynamic).module()
    assert_close(
        steps(exported, x[:, :3], [s[:3] for s in state]),
        [w[:, :3] for w in wanted[: len(state)]],
        EXACT,
    )


def test_autocast():
    made = LSTMCell(3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        state = made(torch.randn(5, 3))
        state = made(torch.randn(5, 3), state)
    assert {value.dtype for value in state} == {torch.bfloat16}
    sum(value.float().sum() for value in state).backward()
    assert {p.grad.dtype for p in made.parameters()} == {torch.float32}


lstm, x, h = LSTMCell(3, 4), torch.zeros(5, 3), torch.zeros(5, 4)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: LSTMCell(0, 4), "input_size must be a whole number of at least 1, got 0"),
        (lambda: LSTMCell(3, 4, bias=2), "bias must be True or False, got 2"),
        (lambda: RNNCell(3, 4, nonlinearity="sin"), "must be 'tanh' or 'relu', got 'sin'"),
        (lambda: lstm(x.numpy()), "input must be a torch tensor, got ndarray"),
        (lambda: lstm(x[:, :2]), r"input must have shape \(B, 3\) or \(3,\), got \(5, 2\)"),
        (lambda: lstm(x[None]), r"input must have shape \(B, 3\) or \(3,\), got \(1, 5, 3\)"),
        (lambda: lstm(x, h), r"hx must be a tuple \(h, c\), got Tensor"),
        (lambda: lstm(x, (h, h[:2])), r"c must have shape \(5, 4\), got \(2, 4\)"),
        (lambda: lstm(x[0], (h, h)), r"h must have shape \(4,\), got \(5, 4\)"),
    ],
)
def test_errors_say_what_was_given_and_what_is_wanted(call, says):
    with pytest.raises(ValueError, match=says):
        call()
