"""Layers where something records or transforms the operations: NumPy must not run unseen."""

import io
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from nn_cases import LAYERS, STACKED, assert_close, call, make, tensors
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils.flop_counter import FlopCounterMode

from companion import CELLS, Cell
from companion.activations import tanh
from companion.nn import GRU, LSTM, RNN, Layer, PeepholeLSTM, RNNCell, function, operators

EXACT = 1e-12


def inputs(layer, *shapes):
    """Random input of each shape, without a derivative."""
    return [tensors(layer, shape, seed)[0].detach() for seed, shape in enumerate(shapes)]


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "training"])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_trace_computes(layer, frozen):
    made = make(layer, **STACKED).requires_grad_(not frozen)
    x, other = inputs(made, (2, 5), (3, 7))
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(made, x), file)
    file.seek(0)
    for seen in (x, other):
        file.seek(0)
        traced = torch.jit.load(file)
        got, wanted = [], []
        for run, values in ((traced, got), (made, wanted)):
            z = seen.clone().requires_grad_()
            y, last = run(z)
            last = last if isinstance(last, tuple) else (last,)
            values += [y, *last, *torch.autograd.grad(y.pow(2).sum() + last[0].sum(), z)]
        assert_close(got, wanted, EXACT)


@pytest.mark.parametrize("layer", [LSTM, PeepholeLSTM, GRU])
def test_the_exporter_that_traces_writes_operations(layer):
    onnxruntime = pytest.importorskip("onnxruntime")
    made = make(layer, dtype=torch.float32).eval().requires_grad_(False)
    x, other = inputs(made, (6, 5), (6, 5))
    file = io.BytesIO()
    with warnings.catch_warnings():  # of its age
        warnings.simplefilter("ignore")
        torch.onnx.export(made, (x,), file, dynamo=False, input_names=["x"])
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (y, *_) = session.run(None, {"x": other.numpy()})
    assert_close([torch.from_numpy(y)], [made(other)[0]], 3e-6)


def test_make_fx_records_operations():
    made = make(LSTM)
    x, other = inputs(made, (6, 5), (6, 5))
    graph = make_fx(lambda x: made(x)[0].detach())(x)
    assert_close([graph(other)], [made(other)[0]], EXACT)


def test_fake_tensors_stay_fake():
    made = make(LSTM, **STACKED)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        x = mode.from_tensor(torch.zeros(2, 5, 3, dtype=torch.float64))
        y, _ = made(x)
    assert y.shape == (2, 5, 8) and type(y) is type(x)


def test_a_counter_of_operations_sees_the_products():
    made = make(LSTM)
    (x,) = inputs(made, (6, 5))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made(x)
    assert counter.get_total_flops() == 2 * 6 * 5 * (4 * 4) * (3 + 4)


class Seen(TorchFunctionMode):
    """Counts the operations that go through it."""

    count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_a_mode_of_functions_sees_each_step_and_a_device_hides_none(monkeypatch):
    made, ran, run = make(LSTM), [], operators.unroll
    (x,) = inputs(made, (50, 5))
    with torch.no_grad():
        wanted = made(x)[0]
        with Seen() as seen:
            assert_close([made(x)[0]], [wanted], EXACT)
        assert seen.count > 50 * 9
        monkeypatch.setattr(operators, "unroll", lambda *given: ran.append(1) or run(*given))
        with torch.device("cpu"):  # this too is a mode, and asks for nothing that NumPy would hide
            made(x)
    assert ran == [1]


def test_a_subclass_of_tensors_goes_through():
    made = make(LSTM)
    a, b = inputs(made, (6, 5), (6, 5))
    with torch.no_grad():
        y = made(TwoTensor(a, b), (TwoTensor(*[torch.zeros(1, 5, 4).double()] * 2),) * 2)[0]
        assert_close([y.a, y.b], [made(a)[0], made(b)[0]], EXACT)
    y = made(a.requires_grad_())[0]
    (d,) = torch.autograd.grad(y, a, TwoTensor(y.detach(), -y.detach()), retain_graph=True)
    (wanted,) = torch.autograd.grad(y, a, y.detach())
    assert_close([d.a, d.b], [wanted, -wanted], EXACT)


@pytest.mark.parametrize("layer", LAYERS)
def test_forward_mode(layer):
    made = make(layer, **STACKED)
    x, state = tensors(made, (2, 5))
    names = [name for name, _ in made.named_parameters()]
    point = tuple(value.detach() for value in (x, *state, *made.parameters()))

    def run(*values):
        params = dict(zip(names, values[1 + len(state) :], strict=True))
        return call(made, values[0], values[1 : 1 + len(state)], params)

    torch.manual_seed(3)
    along = tuple(map(torch.randn_like, point))
    values, slopes = jvp(run, point, along)
    # The same slopes from the derivatives backwards: <J v, w> = <v, J'w>.
    leaves = tuple(value.clone().requires_grad_() for value in point)
    outputs = run(*leaves)
    assert_close(values, outputs, EXACT)
    weights = tuple(map(torch.randn_like, outputs))
    back = torch.autograd.grad(outputs, leaves, weights)
    forward, backward = (
        sum((a * b).sum() for a, b in zip(*pair, strict=True))
        for pair in ((slopes, weights), (along, back))
    )
    assert abs(forward - backward) < 1e-10 * max(1, abs(backward))
    with forward_ad.dual_level():
        duals = map(forward_ad.make_dual, point, along)
        got = [forward_ad.unpack_dual(value).tangent for value in run(*duals)]
    assert_close(got, slopes, EXACT)


@pytest.mark.parametrize("layer", [RNN, LSTM, PeepholeLSTM, GRU])
def test_jacobians_and_hessians(layer):
    made = make(layer)
    (x,) = inputs(made, (4, 2))
    functional = torch.autograd.functional
    wanted = functional.jacobian(lambda x: made(x)[0], x)
    for found in (
        jacfwd(lambda x: made(x)[0])(x),
        jacrev(lambda x: made(x)[0])(x),
        functional.jacobian(lambda x: made(x)[0], x, vectorize=True),
        functional.jacobian(lambda x: made(x)[0], x, vectorize=True, strategy="forward-mode"),
    ):
        assert_close([found], [wanted], EXACT)

    def loss(x):
        return made(x)[0].sin().sum()

    wanted = functional.hessian(loss, x)
    for found in (
        hessian(loss)(x),
        jacrev(jacrev(loss))(x),
        functional.hessian(loss, x, vectorize=True),
        functional.hessian(loss, x, vectorize=True, outer_jacobian_strategy="forward-mode"),
    ):
        assert_close([found], [wanted], 1e-11)


@pytest.mark.parametrize("create_graph", [False, True])
def test_batched_gradients(create_graph):
    made = make(LSTM)
    x, _ = tensors(made, (4, 2))
    y = made(x)[0]
    basis = torch.eye(y.numel(), dtype=y.dtype).view(-1, *y.shape)
    leaves = x, *made.parameters()
    how = {"retain_graph": True, "create_graph": create_graph}
    got = torch.autograd.grad(y, leaves, basis, is_grads_batched=True, **how)
    each = [torch.autograd.grad(y, leaves, one, **how) for one in basis]
    assert_close(got, [torch.stack(values) for values in zip(*each, strict=True)], EXACT)


def test_forward_over_the_backward_pass_of_a_run_before():
    made = make(LSTM)
    x, _ = tensors(made, (6, 5))
    y = made(x)[0]
    dys, along = torch.randn_like(y), torch.randn_like(y)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(dys, along)
        (dxs,) = torch.autograd.grad(y, x, dual, retain_graph=True)
        tangent = forward_ad.unpack_dual(dxs).tangent
    assert_close([tangent], torch.autograd.grad(y, x, along), EXACT)  # it is linear in dys


def test_torch_func_in_a_compiled_function():
    torch._dynamo.reset()
    made = make(LSTM)
    params = {name: value.detach() for name, value in made.named_parameters()}
    (x,) = inputs(made, (6, 5))
    slope = grad(lambda params, x: functional_call(made, params, (x,))[0].pow(2).sum())
    fast = torch.compile(slope, backend="aot_eager")
    assert_close(fast(params, x).values(), slope(params, x).values(), EXACT)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("layer", LAYERS)
def test_exports_with_any_batch_and_time(layer, strict):
    made = make(layer, **STACKED)
    x, state = tensors(made, (2, 5))
    hx = tuple(state) if len(state) > 1 else state[0]
    B, T = torch.export.Dim("B"), torch.export.Dim("T")
    dynamic = {"input": {0: B, 1: T}, "hx": (({1: B},) * len(state) if len(state) > 1 else {1: B})}
    program = torch.export.export(made, (x, hx), dynamic_shapes=dynamic, strict=strict)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    run = torch.export.load(file).module()
    x, state = tensors(made, (4, 7), seed=2)
    hx = tuple(state) if len(state) > 1 else state[0]
    got, wanted = run(x, hx), made(x, hx)
    assert_close([got[0], *got[1]], [wanted[0], *wanted[1]], EXACT)


def step(a, carry, p):
    """h = a."""
    return a, ()


def own_cells():
    """Two cells of one name: one counts up by 1, one by a number that it closes over."""
    two = 2.0

    def other(a, carry, p):
        return (a[0] * two,), ()

    plain = Cell("own", ("h",), ("h",), (), (), step, None)
    return plain, replace(plain, step=other)


def test_the_key_of_an_own_cell_says_what_it_computes(monkeypatch):
    found = []
    for turn in (1, -1):
        monkeypatch.setattr(operators, "KNOWN", {})
        cells = own_cells()[::turn]
        found.append([operators.register(cell) for cell in cells][::turn])
        assert [operators.KNOWN[key].step for key in found[-1]] == [c.step for c in cells[::turn]]
    assert found[0] == found[1] and len(set(found[0])) == 2


def test_a_cell_that_reads_what_may_change_has_a_key_of_its_own(monkeypatch):
    monkeypatch.setattr(operators, "KNOWN", {})
    number = [2.0]
    cell = Cell("own", ("h",), ("h",), (), (), lambda a, carry, p: ((a[0] * number[0],), ()), None)
    keys = {operators.register(replace(cell, kept=())), operators.register(replace(cell, name="o"))}
    keys.add(operators.register(cell))
    assert len(keys) == 3  # also of one cell twice: in another process the list may hold another


def test_an_unknown_cell_is_named():
    made = make(LSTM)
    (x,) = inputs(made, (6, 5))
    weights, state = list(made.parameters()), [torch.zeros(5, 4, dtype=x.dtype)] * 2
    with pytest.raises(ValueError, match="a layer with the cell own:12 must be defined before"):
        torch.ops.companion.unroll("own:12", True, False, x, state, weights)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("sizes", [STACKED, {}], ids=["stacked", "plain"])
def test_what_is_given_and_returned_may_be_resized_afterwards(layer, sizes):
    made = make(layer, **sizes)
    x, state = tensors(made, (2, 5))
    y, *last = call(made, x, state)
    dys = torch.randn_like(y)
    every = x, *state, *made.parameters()
    grads = torch.autograd.grad((y, *last), every, (dys, *map(torch.ones_like, last)))
    with torch.no_grad():
        untaped = call(made, x, state)
    for value in (*every, dys, y, *last, *grads, *untaped):
        assert value.untyped_storage().resizable()
    for value in (x.detach(), dys, y.detach()):
        value.resize_(1000)


def test_a_negated_view_and_an_empty_tensor_are_read_as_they_are():
    values = torch.randn(6, 5, 3, dtype=torch.complex128)
    made = make(LSTM)
    x = values.conj().imag  # lazily the negative of what memory holds
    assert x.is_neg()
    assert_close([made(x)[0]], [made(x.clone().resolve_neg())[0]], EXACT)
    odd = torch._neg_view(values.real.contiguous())
    assert odd.is_neg() and odd.is_contiguous()
    assert_close([made(odd)[0]], [made(-values.real)[0]], EXACT)


def test_ordinary_calls_run_numpy(monkeypatch):
    """What all the above must not cost: a plain call meets no torch operation."""
    for name in ("unroll_in_operations", "backward_in_operations"):
        monkeypatch.setattr(operators, name, None)
    made = make(LSTM)
    x, state = tensors(made, (6, 5))
    assert not function.followed((x, *state, *made.parameters()))
    torch.autograd.grad(call(made, x, state)[0].sum(), x)
    assert isinstance(operators._array(x), np.ndarray)


SLOPE = 1.0


def test_a_class_made_anew_computes_with_what_is_global_now(monkeypatch):
    def step(a, carry, p):
        return (tanh(SLOPE * a[0]),), ()

    def derivative(dstate, state, kept, carry, p):
        return (dstate[0] * SLOPE * (1 - state[0] * state[0]),), (), ()

    for slope in (1.0, 3.0):
        monkeypatch.setitem(globals(), "SLOPE", slope)

        class Net(Layer):
            cell = Cell("sloped", ("h",), ("h",), (), (), step, derivative)

        net, x = Net(3, 4), torch.randn(5, 2, 3)
        assert torch.allclose(net(x)[0], net.history(x)["l0"]["h"], atol=1e-5)


@pytest.mark.parametrize("loops", ["compiled", "plain", "without numba"])
def test_a_class_whose_globals_have_changed_says_so(monkeypatch, loops):
    def step(a, carry, p):
        return (tanh(SLOPE * a[0]),), ()

    def derivative(dstate, state, kept, carry, p):
        return (dstate[0] * SLOPE * (1 - state[0] * state[0]),), (), ()

    monkeypatch.setitem(globals(), "SLOPE", 1.0)

    class Net(Layer):
        cell = Cell("later", ("h",), ("h",), (), (), step, derivative)

    if loops == "without numba":
        monkeypatch.setattr(operators, "_compiled", lambda key: None)
    net, x = Net(3, 4, compiled=loops != "plain"), torch.randn(5, 2, 3)
    before = net(x)[0]
    monkeypatch.setitem(globals(), "SLOPE", 2.0)
    ways = [net.history, torch.func.vmap(net)]
    if loops == "compiled":  # they are those of the class
        assert torch.equal(net(x)[0], before)
    else:
        ways.append(net)
    for run in ways:
        with pytest.raises(ValueError, match="of later reads has changed since the layer's class"):
            run(x)
    monkeypatch.setitem(globals(), "SLOPE", 1.0)
    assert torch.allclose(net.history(x)["l0"]["h"], before, atol=1e-5)


def test_one_step_of_a_projection_says_so_too(monkeypatch):
    own, derivative = CELLS["lstm"].step, CELLS["lstm"].derivative

    def step(a, carry, p):
        (h, c), kept = own(a, carry, p)
        return (SLOPE * h, c), kept

    class Net(Layer):
        cell = replace(CELLS["lstm"], name="scaled", step=step, derivative=derivative)

    net, x = Net(3, 4, proj_size=2), torch.randn(1, 5, 3)
    net(x)
    monkeypatch.setitem(globals(), "SLOPE", 2.0)
    with pytest.raises(ValueError, match="of scaled reads has changed since the layer's class"):
        net(x)


def test_a_layer_that_was_pickled_runs_in_another_process(tmp_path):
    made, x = RNN(3, 4, nonlinearity="relu"), torch.randn(5, 2, 3)
    single = RNNCell(3, 4, nonlinearity="relu")
    torch.save((made, single, x), tmp_path / "both.pt")
    code = (
        "import sys, torch; made, single, x = torch.load(sys.argv[1], weights_only=False); "
        "torch.save((made(x)[0], single(x[0])), sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "both.pt"], check=True)
    found = torch.load(tmp_path / "both.pt")
    assert_close(found, (made(x)[0], single(x[0])), 1e-5)
