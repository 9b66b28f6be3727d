"""How the variants hang together: what each becomes where its difference is taken away."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from every_cell import EVERY

from companion import CELLS, backward, forward, gate, history, init
from companion.cells import held_open, slstm
from companion.params import shapes

T, B, D, H = 12, 2, 3, 4


def draw(cell, seed=0):
    rng = np.random.default_rng(seed)
    params = {k: rng.normal(0, 0.5, v.shape) for k, v in init(cell, D, H, rng).items()}
    return params, rng.normal(size=(T, B, D))


def tied(cell, params, rows):
    """Parameters of the LSTM, whose gates take these rows: name -> (gate of `cell`, sign)."""
    lstm = CELLS["lstm"]
    out = {k: np.zeros(s) for k, s in shapes(lstm, D, H).items()}
    for key, value in out.items():
        for name, (source, sign) in rows.items():
            gate(lstm, value, name)[...] = sign * gate(cell, params[key], source)
    return out


def assert_equal(one, params_one, other, params_other, xs, state=None):
    cells = ((one, params_one), (other, params_other))
    ys = [forward(CELLS[n], p, xs, state)[0] for n, p in cells]
    np.testing.assert_allclose(*ys, rtol=0, atol=1e-13)


def test_peephole_without_peepholes_is_the_lstm():
    params, xs = draw("peephole")
    zero = {name: 0 * value if name.startswith("p_") else value for name, value in params.items()}
    assert_equal("peephole", zero, "lstm", zero, xs)
    moved = forward(CELLS["peephole"], params, xs)[0] - forward(CELLS["lstm"], params, xs)[0]
    assert np.abs(moved).max() > 0.01


def test_coupled_is_the_lstm_with_tied_gates():
    """f = 1 - sigmoid(a) = sigmoid(-a): the forget gate's weights are minus the input gate's."""
    params, xs = draw("coupled")
    rows = {"i": ("i", 1), "f": ("i", -1), "g": ("g", 1), "o": ("o", 1)}
    assert_equal("coupled", params, "lstm", tied(CELLS["coupled"], params, rows), xs)


def test_gru_with_open_reset_gate_has_a_candidate_of_one_sum():
    params, xs = draw("gru")
    gate(CELLS["gru"], params["bias_ih"], "r")[:] = 1e4
    ys, _, _ = forward(CELLS["gru"], params, xs)
    h = np.zeros((B, H))
    for t in range(T):
        a = xs[t] @ params["weight_ih"].T + h @ params["weight_hh"].T
        a = a + params["bias_ih"] + params["bias_hh"]
        z, n = 1 / (1 + np.exp(-a[:, H : 2 * H])), np.tanh(a[:, 2 * H :])
        h = (1 - z) * n + z * h
        np.testing.assert_allclose(ys[t], h, atol=1e-13)


def test_mgu_is_the_gru_with_tied_gates():
    """r = 1 - z: the reset gate's weights are minus the update gate's."""
    mgu, gru = CELLS["mgu"], CELLS["gru"]
    params, xs = draw("mgu")
    tied_params = {k: np.zeros(s) for k, s in shapes(gru, D, H).items()}
    for key, value in tied_params.items():
        for name, source, sign in (("r", "z", -1), ("z", "z", 1), ("n", "n", 1)):
            gate(gru, value, name)[...] = sign * gate(mgu, params[key], source)
    assert_equal("mgu", params, "gru", tied_params, xs)


@pytest.mark.parametrize(
    ("name", "whole", "missing"),
    [
        ("lstm1997", "lstm", "f"),
        ("no_input_gate", "peephole", "i"),
        ("no_forget_gate", "peephole", "f"),
        ("no_output_gate", "peephole", "o"),
    ],
)
def test_a_missing_gate_is_a_gate_that_is_always_open(name, whole, missing):
    cell, full = CELLS[name], CELLS[whole]
    params, xs = draw(name)
    opened = {k: np.zeros(s) for k, s in shapes(full, D, H).items()}
    for key, value in opened.items():
        if key in cell.peepholes:
            value[...] = params[key]
        elif not key.startswith("p_"):
            for letter in cell.gates:
                gate(full, value, letter)[...] = gate(cell, params[key], letter)
    gate(full, opened["bias_ih"], missing)[:] = 1e4
    assert_equal(name, params, whole, opened, xs)
    # Open whatever the other gates and the peepholes see.
    huge = np.full((B, H), 1e30)
    for sign in (1, -1):
        assert_equal(name, params, whole, opened, sign * 1e30 * xs, (huge, sign * huge))


def test_no_activation_is_nearly_tanh_where_numbers_are_small():
    params, xs = draw("peephole")
    params = {name: value * 1e-3 for name, value in params.items()}
    expected = forward(CELLS["peephole"], params, xs)[0]
    for name in ("no_input_activation", "no_output_activation"):
        ys = forward(CELLS[name], params, xs)[0]
        assert 0 < np.abs(ys - expected).max() < 1e-5 * np.abs(expected).max()


def test_what_has_no_activation_is_what_it_would_have_been_given():
    params, xs = draw("peephole")
    cell = CELLS["no_input_activation"]
    seen = history(cell, forward(cell, params, xs)[2])
    a = xs[0] @ gate(cell, params["weight_ih"], "g").T
    a += gate(cell, params["bias_ih"], "g") + gate(cell, params["bias_hh"], "g")
    np.testing.assert_allclose(seen["g"][0], a, atol=1e-13)
    np.testing.assert_array_equal(seen["tanh_c"], np.tanh(seen["c"]))
    cell = CELLS["no_output_activation"]
    seen = history(cell, forward(cell, params, xs)[2])
    np.testing.assert_allclose(seen["g"][0], np.tanh(a), atol=1e-13)
    np.testing.assert_array_equal(seen["identity_c"], seen["c"])


@pytest.mark.parametrize("cell", EVERY.values(), ids=EVERY)
def test_a_step_keeps_shape_and_precision(cell):
    def arrays(count, shape=(B, H)):
        return tuple(np.full(shape, 0.5, np.float32) for _ in range(count))

    a = arrays(len(cell.gates) + len(cell.split))
    carry, p = arrays(len(cell.carries)), arrays(len(cell.peepholes), (H,))
    state, kept = cell.step(a, carry, p)
    da, dcarry, dp = cell.derivative(arrays(len(state)), state, kept, carry, p)
    assert [len(g) for g in (state, kept)] == [len(cell.states), len(cell.kept)]
    assert [len(g) for g in (da, dcarry, dp)] == [len(a), len(carry), len(p)]
    for value in state + kept + da + dcarry + dp:
        assert value.shape == (B, H) and value.dtype == np.float32


@pytest.mark.parametrize("cell", EVERY.values(), ids=EVERY)
def test_parameter_counts(cell):
    params = init(cell, D, H, np.random.default_rng(0))
    count = sum(value.size for value in params.values())
    assert count == len(cell.gates) * (D * H + H * H + 2 * H) + len(cell.peepholes) * H
    assert tuple(params) == cell.parameters


@pytest.mark.parametrize(
    ("name", "gates", "peepholes"),
    [("rnn", 1, 0), ("lstm", 4, 0), ("gru", 3, 0), ("peephole", 4, 3)],
)
def test_gates_and_peepholes_are_those_of_the_papers(name, gates, peepholes):
    assert (len(CELLS[name].gates), len(CELLS[name].peepholes)) == (gates, peepholes)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_gate_that_forgets_decides_how_much_of_the_state_stays(cell):
    if cell.forgets is None:
        return
    gate, sign = cell.forgets
    state = cell.carries[0]
    shares = []
    for amount in (-30, 0, 30):
        a = {f"a_{g}": np.zeros((1, 1)) for g in cell.gates} | {
            f"a_h{g}": np.zeros((1, 1)) for g in cell.split
        }
        a[f"a_{gate}"] += sign * amount
        p = tuple(np.zeros(1) for _ in cell.peepholes)
        new, _ = cell.step(tuple(a.values()), (np.ones((1, 1)),), p)
        shares.append(new[cell.states.index(state)].item())
    np.testing.assert_allclose(shares, [0, 0.5, 1], atol=1e-9)


def test_a_gate_that_is_left_out_forgets_no_longer():
    assert CELLS["no_input_gate"].forgets == CELLS["lstm"].forgets == ("f", 1)
    assert CELLS["lstm1997"].forgets is None
    assert held_open(replace(CELLS["lstm"], forgets=None), "i", "none").forgets is None


def test_a_cell_without_derivative_stays_without_one_when_a_gate_is_held_open():
    cell = held_open(replace(CELLS["lstm"], derivative=None), "f", "forward_only")
    params, xs = draw(cell)
    ys, _, tape = forward(cell, params, xs)
    assert cell.derivative is None
    with pytest.raises(ValueError, match="forward_only must have a derivative to go backward"):
        backward(cell, params, tape, np.ones_like(ys))


@pytest.mark.parametrize("name", ["lstm", "lstm1997", "no_input_gate", "no_forget_gate"])
def test_an_open_gate_stays_open_where_its_neighbour_is_not_finite(name):
    params, xs = draw(name)
    xs[0, 0, 0] = np.inf
    assert np.isfinite(forward(CELLS[name], params, xs)[0]).all()


def test_loops_of_a_compiled_cell_run_no_other_cell():
    def loops(dtype):
        return None

    loops.cell = CELLS["lstm"]
    cell = replace(CELLS["lstm"], loops=loops)
    assert held_open(cell, "f", "none").loops is None
    with pytest.raises(ValueError, match="got those of <cell 'lstm'.*loops=None, then call comp"):
        replace(cell, name="another", step=CELLS["peephole"].step)


def test_a_cell_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        CELLS["lstm"].gates = ("i",)


def unbounded_slstm(params, xs):
    """sLSTM without its stabiliser, as first written: h, c, n and i of every step."""
    h, c, n, steps = np.zeros((B, H)), 0, 0, []
    for x in xs:
        a = x @ params["weight_ih"].T + h @ params["weight_hh"].T
        a = a + params["bias_ih"] + params["bias_hh"]
        ai, af, ag, ao = np.split(a, 4, axis=1)
        i, f, o = np.exp(ai), 1 / (1 + np.exp(-af)), 1 / (1 + np.exp(-ao))
        c, n = f * c + i * np.tanh(ag), f * n + i
        h = o * c / n
        steps.append((h, c, n, i))
    return map(np.array, zip(*steps, strict=True))


def test_slstm_is_what_its_sums_say():
    params, xs = draw(slstm)
    seen = history(slstm, forward(slstm, params, xs)[2])
    h, c, n, i = unbounded_slstm(params, xs)
    scale = np.exp(seen["m"])
    np.testing.assert_allclose(seen["h"], h, rtol=1e-12)
    for name, theirs in (("c", c), ("n", n), ("i_m", i)):
        np.testing.assert_allclose(seen[name] * scale, theirs, rtol=1e-12)
    assert (np.maximum(seen["i_m"], seen["f_m"]) == 1).all()
    assert (seen["i_m"] < seen["f_m"]).any() and (seen["i_m"] > seen["f_m"]).any()


def test_an_input_gate_of_slstm_may_be_larger_than_any_number():
    params, xs = draw(slstm)
    # exp(1000) is no float64. The first input outweighs all before it; of two that are equal
    # with the memory kept, half of each remains.
    for name in params:
        params[name][...] = 0
    gate(slstm, params["bias_ih"], "i")[:] = 1000
    gate(slstm, params["bias_ih"], "f")[:] = 1e4
    gate(slstm, params["bias_ih"], "o")[:] = 1e4
    gate(slstm, params["weight_ih"], "g")[:, 0] = 1
    ys, _, _ = forward(slstm, params, xs)
    means = np.cumsum(np.tanh(xs[:, :, :1]), 0) / np.arange(1, T + 1)[:, None, None]
    np.testing.assert_allclose(ys, np.broadcast_to(means, ys.shape), atol=1e-13)


def test_the_scale_of_c_and_n_of_slstm_is_free():
    """What m counts is only how c and n are written: h, and a loss on it, cannot tell."""
    params, xs = draw(slstm)
    rng = np.random.default_rng(1)
    h, m, g = rng.normal(size=(3, B, H))
    n = rng.uniform(1, 2, (B, H))
    dys = rng.normal(size=(T, B, H))
    found = []
    for moved in (0, 0.7):
        scale = np.exp(-moved)
        state = h, g * n * scale, n * scale, m + moved
        ys, _, tape = forward(slstm, params, xs, state)
        _, dxs, (dh, dc, dn, dm) = backward(slstm, params, tape, dys)
        np.testing.assert_allclose(dm, dc * state[1] + dn * state[2], rtol=1e-9, atol=1e-13)
        found.append((ys, dxs, dh, dc * scale, dn * scale, dm))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_where_no_weight_is_left_slstm_shows_nothing():
    params, xs = draw(slstm)
    params = {name: 0 * value for name, value in params.items()}
    gate(slstm, params["bias_ih"], "i")[:] = -1000
    gate(slstm, params["bias_ih"], "g")[:] = 1
    with np.errstate(all="raise", under="ignore"):
        ys, last, tape = forward(slstm, params, xs)
        grads, dxs, dstate = backward(slstm, params, tape, np.ones_like(ys), last)
    assert not ys.any()
    # Still the derivative, where there is one: by the complex step, of c alone.
    zeros = [np.zeros((B, H)) for _ in range(4)]
    a = tuple(np.full((B, H), value) for value in (-1000.0, 1.0, 1.0, 0.5))
    (h, *_), _ = slstm.step(a, (zeros[0] + 1e-30j, *zeros[:2]), ())
    state, kept = slstm.step(a, tuple(zeros[:3]), ())
    _, (dc, _, _), _ = slstm.derivative((zeros[0] + 1, *zeros[:3]), state, kept, zeros[:3], ())
    np.testing.assert_allclose(dc, h.imag / 1e-30, rtol=1e-13)
    assert all(np.isfinite(value).all() for value in (dxs, *dstate, *grads.values()))
    # A memory that holds something keeps it.
    state = tuple(np.full((B, H), value) for value in (0.0, 0.5, 1.0, 0.0))
    np.testing.assert_allclose(forward(slstm, params, xs, state)[0], 0.25)
    # And c may be 0 where n is not: it is n that divides.
    a, carry = (zeros[0],) * 4, (zeros[0], zeros[0] + 1, zeros[0])
    state, kept = slstm.step(a, carry, ())
    (_, _, dg, _), _, _ = slstm.derivative((zeros[0] + 1, *zeros[:3]), state, kept, carry, ())
    np.testing.assert_allclose(dg, 0.5 / 1.5, rtol=1e-13)


@pytest.mark.parametrize(("amount", "share"), [(-30, 0), (0, 0.5), (30, 1)])
def test_the_forget_gate_of_slstm_decides_how_much_weight_stays(amount, share):
    a = tuple(np.full((1, 1), value) for value in (0.0, float(amount), 0.0, 0.0))
    carry = tuple(np.full((1, 1), value) for value in (0.0, 1.0, 2.0))
    (_, _, n, m), _ = slstm.step(a, carry, ())
    # The new weight is exp(0), that in memory was exp(2).
    np.testing.assert_allclose(n * np.exp(m), 1 + share * np.exp(2), atol=1e-9)
