"""Every cell, unrolled: right gradients, and the promises of `forward` and `backward`."""

import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from every_cell import EVERY
from hypothesis import given, settings
from hypothesis import strategies as st

from companion import CELLS, Cell, backward, forward, gate, history, init
from companion.engine import unroll as engine
from companion.engine.team import ALONE
from companion.gradcheck import Problem, check_cell
from companion.params import shapes

every_cell = pytest.mark.parametrize("cell", EVERY.values(), ids=EVERY)
both_precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def draw(cell, T=6, B=3, D=4, H=5, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    params = {k: v * 2 for k, v in init(cell, D, H, rng, dtype).items()}
    xs = rng.normal(size=(T, B, D)).astype(dtype)
    state = tuple(rng.normal(0, 0.5, (B, H)).astype(dtype) for _ in cell.states)
    return params, xs, state, rng.normal(size=(T, B, H)).astype(dtype)


def torch_run(cell, params, xs, state):
    """The same source on torch tensors, step by step, for autograd."""
    H = params["weight_hh"].shape[1]
    joint = (len(cell.gates) - len(cell.split)) * H
    state = dict(zip(cell.states, state, strict=True))
    ys = []
    for x in xs:
        a_x = x @ params["weight_ih"].T + params["bias_ih"]
        a_h = state["h"] @ params["weight_hh"].T + params["bias_hh"]
        a = [a_x[:, :joint] + a_h[:, :joint], a_x[:, joint:], a_h[:, joint:]]
        a = tuple(block for part in a for block in part.split(H, 1) if part.shape[1])
        p = tuple(params[name] for name in cell.peepholes)
        new, _ = cell.step(a, tuple(state[name] for name in cell.carries), p)
        state = dict(zip(cell.states, new, strict=True))
        ys.append(state["h"])
    return torch.stack(ys), tuple(state.values())


@every_cell
@pytest.mark.parametrize("T", [1, 2, 7])
def test_gradients_agree_with_the_complex_step(cell, T):
    report = check_cell(cell, T=T)
    assert report.ok, report
    assert max(report.errors.values()) < 1e-11


@every_cell
def test_gradients_agree_with_central_differences(cell):
    assert check_cell(cell, "central").ok


@every_cell
@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 30), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99)
)
def test_gradients_agree_with_torch_autograd(cell, T, B, D, H, seed):
    problem = Problem.draw(cell, T, np.random.default_rng(seed), (B, D, H))
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in problem.arrays.items()}
    state = tuple(tensors[f"{name}_0"] for name in cell.states)
    ys, last = torch_run(cell, tensors, tensors["xs"], state)
    np.testing.assert_allclose(problem.run(problem.arrays)[0], ys.detach().numpy(), atol=1e-12)
    loss = (ys * torch.tensor(problem.dys)).sum()
    for d, s in zip(problem.dstate, last, strict=True):
        loss = loss + (torch.tensor(d) * s).sum()
    loss.backward()
    for name, gradient in problem.gradients().items():
        scale = max(1, np.abs(gradient).max())
        expected = tensors[name].grad.numpy()
        np.testing.assert_allclose(gradient, expected, atol=1e-11 * scale, err_msg=name)


@every_cell
@both_precisions
def test_chunked_is_whole(cell, dtype, monkeypatch):
    params, xs, state, dys = draw(cell, T=9, dtype=dtype)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    ys, last, tape = forward(cell, params, xs, state)
    grads, dxs, dfirst = backward(cell, params, tape, dys)

    ys_a, between, tape_a = forward(cell, params, xs[:4], state)
    ys_b, last_b, tape_b = forward(cell, params, xs[4:], between)
    grads_b, dxs_b, dbetween = backward(cell, params, tape_b, dys[4:])
    grads_a, dxs_a, dfirst_a = backward(cell, params, tape_a, dys[:4], dbetween)

    near = {"rtol": 0, "atol": tolerance}
    np.testing.assert_allclose(np.concatenate([ys_a, ys_b]), ys, **near)
    np.testing.assert_allclose(np.concatenate([dxs_a, dxs_b]), dxs, **near)
    for a, b in zip(last_b + dfirst_a, last + dfirst, strict=True):
        np.testing.assert_allclose(a, b, **near)
    for name in grads:
        np.testing.assert_allclose(
            grads_a[name] + grads_b[name], grads[name], rtol=0, atol=tolerance * 10
        )

    assert_same(forward(cell, params, xs, state, keep_tape=False)[:2], (ys, last))

    # The engine's own chunks, of 2 steps here, change nothing either.
    monkeypatch.setattr("companion.engine.unroll.CHUNK", 2 * 3 * len(cell.gates) * 5)
    ys_c, last_c, tape_c = forward(cell, params, xs, state)
    grads_c, dxs_c, _ = backward(cell, params, tape_c, dys)
    np.testing.assert_allclose(ys_c, ys, **near)
    np.testing.assert_allclose(dxs_c, dxs, **near)
    for name in grads:
        np.testing.assert_allclose(grads_c[name], grads[name], rtol=0, atol=tolerance * 10)
    assert_same(forward(cell, params, xs, state, keep_tape=False)[:2], (ys_c, last_c))


def assert_same(one, other):
    for a, b in zip(one[1] + (one[0],), other[1] + (other[0],), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@every_cell
def test_rows_of_a_batch_do_not_see_each_other(cell):
    params, xs, state, dys = draw(cell, B=4)
    _, _, tape = forward(cell, params, xs, state)
    grads, dxs, dfirst = backward(cell, params, tape, dys)
    total = {name: 0 for name in grads}
    for b in range(4):
        row = slice(b, b + 1)
        ys_b, _, tape_b = forward(cell, params, xs[:, row], tuple(s[row] for s in state))
        grads_b, dxs_b, dfirst_b = backward(cell, params, tape_b, dys[:, row])
        np.testing.assert_allclose(ys_b, tape.states[0][1:, row], atol=1e-13)
        np.testing.assert_allclose(dxs_b, dxs[:, row], atol=1e-12)
        for d, whole in zip(dfirst_b, dfirst, strict=True):
            np.testing.assert_allclose(d, whole[row], atol=1e-12)
        total = {name: total[name] + grads_b[name] for name in grads}
    for name in grads:
        np.testing.assert_allclose(total[name], grads[name], atol=1e-11)


@every_cell
def test_nan_stays_in_its_row(cell):
    params, xs, state, dys = draw(cell)
    xs[2, 1] = np.nan
    ys, _, tape = forward(cell, params, xs, state)
    _, dxs, _ = backward(cell, params, tape, dys)
    assert np.isnan(ys[2:, 1]).any() and np.isfinite(ys[:, [0, 2]]).all()
    assert np.isfinite(dxs[:, [0, 2]]).all()


@every_cell
@both_precisions
def test_dtype_and_shapes_stay(cell, dtype):
    params, xs, state, dys = draw(cell, dtype=dtype)
    ys, last, tape = forward(cell, params, xs, state)
    grads, dxs, dfirst = backward(cell, params, tape, dys, last)
    assert {name: value.shape for name, value in grads.items()} == shapes(cell, 4, 5)
    assert ys.shape == (6, 3, 5) and dxs.shape == xs.shape
    assert [s.shape for s in last + dfirst] == [(3, 5)] * (2 * len(cell.states))
    everything = [ys, dxs, *last, *dfirst, *grads.values(), *history(cell, tape).values()]
    assert {value.dtype for value in everything} == {np.dtype(dtype)}
    np.testing.assert_array_equal(last[0], ys[-1])


@every_cell
def test_nothing_given_is_changed_and_nothing_returned_is_shared(cell):
    params, xs, state, dys = draw(cell)
    given = [*params.values(), xs, *state, dys]
    before = [value.copy() for value in given]
    for value in given:
        value.flags.writeable = False
    ys, last, tape = forward(cell, params, xs, state)
    grads, dxs, dfirst = backward(cell, params, tape, dys)
    # Two forwards before one backward, and a caller that writes to what it was given.
    for value in given:
        value.flags.writeable = True
    copy = xs.copy()
    forward(cell, params, xs + 1, state)
    xs[...] = 9
    for value in (ys, *last, *history(cell, tape).values()):
        value[...] = 7
    again, dxs_again, dfirst_again = backward(cell, params, tape, dys)
    for name in grads:
        np.testing.assert_array_equal(again[name], grads[name])
    np.testing.assert_array_equal(dxs_again, dxs)
    for a, b in zip(dfirst, dfirst_again, strict=True):
        np.testing.assert_array_equal(a, b)
    xs[...] = copy
    for value, old in zip(given, before, strict=True):
        np.testing.assert_array_equal(value, old)


@every_cell
@pytest.mark.parametrize(("T", "B"), [(0, 3), (5, 0), (0, 0)])
def test_empty_input_gives_empty_output_and_zero_gradients(cell, T, B):
    params, xs, state, dys = draw(cell, T=T, B=B)
    ys, last, tape = forward(cell, params, xs, state)
    grads, dxs, dfirst = backward(cell, params, tape, dys, last)
    assert ys.shape == (T, B, 5) and dxs.shape == (T, B, 4)
    assert all(not value.any() for value in grads.values())
    for s, first, d in zip(last, state, dfirst, strict=True):
        assert s.shape == (B, 5)
        if T == 0:
            np.testing.assert_array_equal(s, first)
            np.testing.assert_array_equal(d, s)


@every_cell
def test_memory_order_does_not_matter(cell):
    params, xs, state, dys = draw(cell)
    ys, _, tape = forward(cell, params, xs, state)
    grads, dxs, _ = backward(cell, params, tape, dys)
    odd = {name: np.asfortranarray(value) for name, value in params.items()}
    spread = np.zeros((12, 3, 8))[::2, :, ::2]
    spread[...] = xs
    other = tuple(np.asfortranarray(s) for s in state)
    ys_odd, _, tape_odd = forward(cell, odd, spread, other)
    grads_odd, dxs_odd, _ = backward(cell, odd, tape_odd, np.asfortranarray(dys))
    np.testing.assert_allclose(ys_odd, ys, atol=1e-13)
    np.testing.assert_allclose(dxs_odd, dxs, atol=1e-12)
    for name in grads:
        np.testing.assert_allclose(grads_odd[name], grads[name], atol=1e-12)


@every_cell
def test_huge_inputs_stay_finite_and_silent(cell):
    params, xs, _, dys = draw(cell, dtype=np.float32)
    xs = np.where(xs > 0, np.float32(1e30), np.float32(-1e30))
    with np.errstate(all="raise", under="ignore"):
        ys, last, tape = forward(cell, params, xs)
        grads, dxs, _ = backward(cell, params, tape, dys)
    for value in (ys, *last, dxs, *grads.values()):
        assert np.isfinite(value).all()


@every_cell
def test_history_names_every_gate_and_state(cell):
    params, xs, state, _ = draw(cell)
    ys, last, tape = forward(cell, params, xs, state)
    traces = history(cell, tape)
    assert set(cell.states) <= set(traces)
    assert all(values.shape == (6, 3, 5) for values in traces.values())
    np.testing.assert_array_equal(traces["h"], ys)
    for name, s in zip(cell.states, last, strict=True):
        np.testing.assert_array_equal(traces[name][-1], s)


@every_cell
def test_a_kept_gate_is_the_gate_of_its_name(cell):
    """Its bias or its peephole raises it, and in the same step no other gate."""
    params, xs, state, _ = draw(cell, T=1)
    state = tuple(np.abs(s) for s in state)
    cut = ("weight_hh", "bias_hh", *cell.peepholes)  # what ties a gate to another one
    params |= {name: 0 * params[name] for name in cut}
    named = set(cell.gates) & set(cell.kept)

    def traces(params):
        return history(cell, forward(cell, params, xs, state)[2])

    before = traces(params)
    for name in named:
        bias = params["bias_ih"].copy()
        gate(cell, bias, name)[...] += 1
        moves = [traces(params | {"bias_ih": bias})]
        if f"p_{name}" in cell.peepholes:
            moves.append(traces(params | {f"p_{name}": np.ones(5)}))
        for after in moves:
            assert {other for other in named if (after[other] != before[other]).any()} == {name}
            assert (after[name] > before[name]).any()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU), ("rnn", torch.nn.RNN)],
    ids=["lstm", "gru", "rnn"],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 2e-5)])
def test_equal_to_torch(ours, theirs, dtype, tolerance):
    cell = CELLS[ours]
    params, xs, state, dys = draw(cell, T=20, dtype=dtype)
    layer = theirs(4, 5, dtype=getattr(torch, np.dtype(dtype).name))
    layer.load_state_dict({f"{name}_l0": torch.tensor(v) for name, v in params.items()})
    inputs = torch.tensor(xs, requires_grad=True)
    firsts = [torch.tensor(s[None], requires_grad=True) for s in state]
    out, last = layer(inputs, tuple(firsts) if len(firsts) > 1 else firsts[0])
    last = last if isinstance(last, tuple) else (last,)
    loss = (out * torch.tensor(dys)).sum() + sum((s * s).sum() for s in last)
    loss.backward()

    ys, ends, tape = forward(cell, params, xs, state)
    grads, dxs, dfirst = backward(cell, params, tape, dys, tuple(2 * s for s in ends))
    near = {"rtol": 0, "atol": tolerance}
    np.testing.assert_allclose(ys, out.detach().numpy(), **near)
    np.testing.assert_allclose(dxs, inputs.grad.numpy(), **near)
    for d, first in zip(dfirst, firsts, strict=True):
        np.testing.assert_allclose(d, first.grad[0].numpy(), **near)
    for name, gradient in grads.items():
        expected = getattr(layer, f"{name}_l0").grad.numpy()
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * 10, err_msg=name)


def test_memory_is_what_is_returned_and_one_chunk(monkeypatch):
    monkeypatch.setattr("companion.engine.unroll.CHUNK", 1 << 15)
    cell = CELLS["lstm"]
    params, xs, state, _ = draw(cell, T=1500, B=8, D=2, H=8, dtype=np.float32)
    # Beyond what is returned: a chunk of 2^15 pre-activations of 4 bytes, and what it takes.
    chunk = 5 * 4 * (1 << 15)
    tracemalloc.start()
    ys, _, tape = forward(cell, params, xs, state, keep_tape=False)
    _, peak = tracemalloc.get_traced_memory()
    assert tape is None and peak - ys.nbytes < chunk
    tracemalloc.reset_peak()
    _, _, tape = forward(cell, params, xs, state)
    held = sum(array.nbytes for array in (ys, ys, *tape))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - held < chunk
    part, _, _ = forward(cell, params, xs[:400], state)
    np.testing.assert_allclose(ys[:400], part, atol=1e-6)


def test_init_is_uniform_as_in_torch_and_repeatable():
    cell = CELLS["lstm"]
    one = init(cell, 30, 100, np.random.default_rng(1), np.float32)
    two = init(cell, 30, 100, np.random.default_rng(1), np.float32)
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name])
        assert value.dtype == np.float32
        assert 0.09 < np.abs(value).max() <= 0.1
    assert abs(one["weight_hh"].std() - 0.1 / np.sqrt(3)) < 1e-3


def test_gate_is_a_view():
    cell = CELLS["lstm"]
    params = init(cell, 4, 5, np.random.default_rng(0))
    gate(cell, params["bias_ih"], "f")[:] = 1
    np.testing.assert_array_equal(params["bias_ih"][5:10], 1)
    assert gate(cell, params["weight_ih"], "g").shape == (5, 4)


def watched(cell, seen):
    """The cell with loops and products of its own: the plain ones; the loops note arguments."""

    def loops(dtype):
        def noting(loop, team, *arguments):
            assert team == ALONE
            seen.append((loop.__name__, dtype, arguments))
            loop(cell, *arguments)

        loops = engine.forward_loop, engine.backward_loop
        products = (
            lambda team, *arguments: np.dot(*arguments),
            lambda team, *arguments: engine.add_gradients(*arguments),
        )
        return *(partial(noting, loop) for loop in loops), *products

    return replace(cell, loops=loops)


def test_loops_of_a_cell_take_the_place_of_the_plain_ones():
    cell, seen = CELLS["peephole"], []
    params, xs, state, dys = draw(cell)
    params = {name: np.repeat(value, 2, -1)[..., ::2] for name, value in params.items()}
    for array in (dys, params["bias_hh"]):
        array.flags.writeable = False
    expected = backward(cell, params, forward(cell, params, xs, state)[2], dys)[1]
    for own in (watched(cell, seen), replace(cell, loops=lambda dtype: None)):
        dxs = backward(own, params, forward(own, params, xs, state)[2], dys)[1]
        np.testing.assert_array_equal(dxs, expected)
    assert [run[:2] for run in seen] == [("forward_loop", xs.dtype), ("backward_loop", xs.dtype)]
    for _, _, arguments in seen:
        groups = [group if isinstance(group, tuple) else (group,) for group in arguments]
        arrays = [array for group in groups for array in group if not isinstance(array, int)]
        assert len(arrays) > 7
        assert all(array.flags.c_contiguous and array.flags.writeable for array in arrays)


@pytest.mark.parametrize(
    ("name", "B", "H", "chunk", "steps"),
    [
        ("gru", 2, 5, 3 * 2 * 5 * 4 - 1, [3, 3, 1]),
        ("gru", 2, 5, 3 * 2 * 5 - 1, [1] * 7),  # not even one step would fit
        ("rnn", 1, 1, 3, [3, 3, 1]),
        ("rnn", 0, 5, 3, [3, 3, 1]),
    ],
)
def test_a_chunk_has_as_many_steps_as_fit(name, B, H, chunk, steps, monkeypatch):
    monkeypatch.setattr("companion.engine.unroll.CHUNK", chunk)
    seen, D = [], 4
    cell = watched(CELLS[name], seen)
    params, xs, state, dys = draw(cell, T=7, B=B, H=H, D=D)
    backward(cell, params, forward(cell, params, xs, state)[2], dys)
    GH = len(cell.gates) * H
    for n, (_, _, arguments) in zip(steps * 2, seen, strict=True):
        assert arguments[0].shape == (n, B, GH)
    forwards, backwards = seen[: len(steps)], seen[len(steps) :]
    starts = np.cumsum([0, *steps[:-1]]).tolist()
    assert [arguments[6] for _, _, arguments in forwards] == starts
    assert [arguments[5] for _, _, arguments in backwards] == (7 - np.cumsum(steps)).tolist()
    for n, (_, _, arguments) in zip(steps, backwards, strict=True):
        assert arguments[1].shape == (n, B, GH) and arguments[6].shape == (n, B, H)


def test_what_derivative_returns_may_be_what_it_was_given():
    """Nothing of a step is overwritten while the step before may still need it."""

    def step(a, carry, p):
        return (a[0] + carry[0], carry[1] + a[0]), ()

    def derivative(dstate, state, kept, carry, p):
        dh, dc = dstate
        return (dh + dc,), (dh, dc), ()

    cell = Cell("sum", ("a",), ("h", "c"), ("h", "c"), (), step, derivative)
    params, xs, state, dys = draw(cell)
    assert check_cell(cell).ok
    _, last, tape = forward(cell, params, xs, state)
    given = tuple(np.ones_like(s) for s in last)
    backward(cell, params, tape, dys, given)
    assert all((d == 1).all() for d in given)


@pytest.mark.parametrize("name", ["rnn", "gru"])
def test_a_derivative_that_forgets_a_factor_is_not_the_same(name):
    def ones(dstate, *rest):
        return CELLS[name].derivative(tuple(0 * d + 1 for d in dstate), *rest)

    assert not check_cell(replace(CELLS[name], derivative=ones)).ok


def test_split_may_be_any_number_of_the_last_gates():
    gru = CELLS["gru"]
    params, xs, state, dys = draw(gru)
    ys, _, tape = forward(gru, params, xs, state)
    grads, dxs, _ = backward(gru, params, tape, dys)

    def splitting(count):
        def step(a, carry, p):
            parts = a[: 3 - count], a[3 - count : 2], a[3:-1]
            sums = tuple(x + h for x, h in zip(*parts[1:], strict=True))
            return gru.step((*parts[0], *sums, a[2], a[-1]), carry, p)

        def derivative(*given):
            (dr, dz, dn, dn_h), dcarry, dp = gru.derivative(*given)
            return (dr, dz, dn, *(dr, dz)[3 - count :], dn_h), dcarry, dp

        return replace(gru, step=step, derivative=derivative, split=gru.gates[-count:])

    for cell in (splitting(2), splitting(3)):
        ys_c, _, tape_c = forward(cell, params, xs, state)
        grads_c, dxs_c, _ = backward(cell, params, tape_c, dys)
        np.testing.assert_allclose(ys_c, ys, atol=1e-13)
        np.testing.assert_allclose(dxs_c, dxs, atol=1e-12)
        for name in grads:
            np.testing.assert_allclose(grads_c[name], grads[name], atol=1e-12)


def test_a_cell_may_have_three_states():
    def step(a, carry, p):
        (c_prev, m_prev), y = carry, np.tanh(a[0])
        c = c_prev * y + y
        m = m_prev / 4 + c
        return (c * m, c, m), (y,)

    def derivative(dstate, state, kept, carry, p):
        (dh, dc, dm), (_, c, m), (y,), (c_prev, _) = dstate, state, kept, carry
        dm = dm + dh * c
        dc = dc + dh * m + dm
        return (dc * (c_prev + 1) * (1 - y * y),), (dc * y, dm / 4), ()

    cell = Cell("three", ("a",), ("h", "c", "m"), ("c", "m"), ("y",), step, derivative)
    assert check_cell(cell).ok
