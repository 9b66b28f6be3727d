"""mLSTM: its sums, its two forms, and its backward pass."""

import numpy as np
import pytest

from companion.gradcheck import check_gradients
from companion.mlstm import backward, forward, forward_parallel, init

T, B, D, H = 7, 3, 4, 5


def draw(dtype=np.float64, T=T, B=B):
    """Parameters of about 0.7, so that both forget and input gates decide, and a first state."""
    rng = np.random.default_rng(0)
    params = {k: rng.normal(0, 0.7, v.shape).astype(dtype) for k, v in init(D, H, rng).items()}
    state = [rng.normal(size=s).astype(dtype) for s in ((B, H, H), (B, H), (B,))]
    return params, rng.normal(size=(T, B, D)).astype(dtype), tuple(state)


def sums(params, xs):
    """The equations as the paper first gives them, without a stabiliser, for one sequence each."""
    ys = np.empty((len(xs), xs.shape[1], H))
    for b in range(xs.shape[1]):
        C, n = np.zeros((H, H)), np.zeros(H)
        for t, x in enumerate(xs[:, b]):
            a = params["weight_ih"] @ x + params["bias_ih"]
            q, k, v, ao = a[:H], a[H : 2 * H] / np.sqrt(H), a[2 * H : 3 * H], a[3 * H : 4 * H]
            i, f = np.exp(a[4 * H]), 1 / (1 + np.exp(-a[4 * H + 1]))
            C, n = f * C + i * np.outer(v, k), f * n + i * k
            ys[t, b] = 1 / (1 + np.exp(-ao)) * (C @ q) / max(abs(n @ q), 1)
    return ys


def test_the_recurrent_form_is_what_its_sums_say():
    params, xs, _ = draw(T=30)
    np.testing.assert_allclose(forward(params, xs)[0], sums(params, xs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("T", [0, 1, 2, 30])
def test_the_parallel_form_is_the_recurrent_one(T):
    params, xs, _ = draw(T=T)
    ys, _ = forward(params, xs)
    np.testing.assert_allclose(forward_parallel(params, xs), ys, rtol=0, atol=1e-12)
    assert forward_parallel(params, xs[:, :0]).shape == (T, 0, H)


def loss_and_gradients(params, xs, state, dys, dstate):
    def loss(arrays):
        dtype = np.result_type(*arrays.values())
        arrays = {name: np.asarray(value, dtype) for name, value in arrays.items()}
        ys, last = forward(arrays, arrays["xs"], tuple(arrays[s] for s in "Cnm"))
        return np.sum(dys * ys) + sum(np.sum(d * s) for d, s in zip(dstate, last, strict=True))

    grads, dxs, dfirst = backward(params, xs, dys, state, dstate)
    first, derived = (dict(zip("Cnm", values, strict=True)) for values in (state, dfirst))
    return loss, params | {"xs": xs} | first, grads | {"xs": dxs} | derived


@pytest.mark.parametrize("T", [1, 2, 7])
@pytest.mark.parametrize("shift", [-3, 0, 3], ids=["closed", "even", "open"])
def test_the_backward_pass_agrees_with_the_complex_step(T, shift):
    params, xs, state = draw(T=T)
    params["bias_ih"][-2] += shift  # the least divisor holds often, now and then, or hardly ever
    rng = np.random.default_rng(1)
    dys, dstate = rng.normal(size=(T, B, H)), tuple(rng.normal(size=s.shape) for s in state)
    report = check_gradients(*loss_and_gradients(params, xs, state, dys, dstate))
    assert report.ok and max(report.errors.values()) < 1e-12, report


def test_both_divisors_and_both_signs_were_among_what_was_checked():
    params, xs, (C, n, m) = draw()
    seen = set()
    for t in range(T):
        a = xs[t] @ params["weight_ih"].T + params["bias_ih"]
        _, (C, n, m) = forward(params, xs[t : t + 1], (C, n, m))
        asked = np.sum(n * a[:, :H], 1)
        seen |= set(zip(np.abs(asked) > np.exp(-m), asked > 0, strict=True))
    assert len(seen) == 4


def test_pieces_make_the_whole():
    params, xs, state = draw()
    dys = np.random.default_rng(1).normal(size=(T, B, H))
    ys, last = forward(params, xs, state)
    one, between = forward(params, xs[:3], state)
    two, end = forward(params, xs[3:], between)
    np.testing.assert_allclose(np.concatenate([one, two]), ys, rtol=0, atol=1e-13)
    grads, dxs, dfirst = backward(params, xs, dys, state, last)
    grads_b, dxs_b, dbetween = backward(params, xs[3:], dys[3:], between, end)
    grads_a, dxs_a, d = backward(params, xs[:3], dys[:3], state, dbetween)
    np.testing.assert_allclose(np.concatenate([dxs_a, dxs_b]), dxs, rtol=0, atol=1e-10)
    for name, value in grads.items():
        np.testing.assert_allclose(grads_a[name] + grads_b[name], value, rtol=0, atol=1e-10)
    for one, other in zip((*end, *d), (*last, *dfirst), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)


def test_a_stored_value_is_found_by_its_key():
    """What the matrix is for: keys at right angles, and a query that is one of them."""
    params = {name: np.zeros_like(value) for name, value in draw()[0].items()}
    rng, weight = np.random.default_rng(0), np.zeros((4 * H + 2, 3 * H + 1))
    weight[:H, :H] = np.eye(H)  # inputs are q, k, v and the input gate, one after the other
    weight[H : 2 * H, H : 2 * H] = np.sqrt(H) * np.eye(H)
    weight[2 * H : 3 * H, 2 * H : 3 * H] = np.eye(H)
    weight[4 * H, 3 * H] = 1
    params["weight_ih"] = weight
    params["bias_ih"][3 * H : 4 * H] = params["bias_ih"][-1] = 1e4  # o and f are open
    values = rng.normal(size=(H, H))
    xs = np.zeros((2 * H, 1, 3 * H + 1))
    xs[:H, 0, H : 2 * H], xs[:H, 0, 2 * H : 3 * H] = np.eye(H), values
    xs[H:, 0, :H], xs[H:, 0, -1] = np.eye(H), -1000  # ask, and write nothing
    for ys in (forward(params, xs)[0], forward_parallel(params, xs)):
        np.testing.assert_allclose(ys[H:, 0], values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("amount", [-1e30, -1000, -100, 100, 1000, 1e30])
def test_input_gates_beyond_any_number_stay_finite(amount):
    params, xs, _ = draw(np.float32)
    params["weight_ih"][-2:] = 0
    params["bias_ih"][-2:] = amount, 1
    xs[2] = 0
    params["bias_ih"][:H] = 0  # a query of zeros
    with np.errstate(all="raise", under="ignore"):
        ys, last = forward(params, xs)
        grads, dxs, dstate = backward(params, xs, np.ones_like(ys), None, last)
        parallel = forward_parallel(params, xs)
    for value in (ys, *last, *grads.values(), dxs, *dstate, parallel):
        assert np.isfinite(value).all() and value.dtype == np.float32
    # In float32 numbers near 1000 are 6e-5 apart, and so are the logarithms of the weights.
    np.testing.assert_allclose(parallel, ys, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("T", "B"), [(0, 3), (4, 0)])
def test_empty_input_gives_empty_output_and_zero_gradients(T, B):
    params, xs, state = draw(T=T, B=B)
    ys, last = forward(params, xs, state)
    grads, dxs, dfirst = backward(params, xs, np.ones_like(ys), state, last)
    assert ys.shape == (T, B, H) and dxs.shape == xs.shape
    assert not any(value.any() for value in grads.values())
    if T == 0:
        for s, first, d in zip(last, state, dfirst, strict=True):
            np.testing.assert_array_equal(s, first)
            np.testing.assert_array_equal(d, first)


def test_nothing_given_is_changed_or_shared():
    params, xs, state = draw()
    dys = np.ones((T, B, H))
    given = [*params.values(), xs, *state, dys]
    before = [array.copy() for array in given]
    returned = [*forward(params, xs, state), *backward(params, xs, dys, state, state)]
    returned += [
        forward(params, xs[:0], state)[1],
        backward(params, xs[:0], dys[:0], None, state)[2],
    ]
    for group in returned:
        group = group.values() if isinstance(group, dict) else group
        for array in group if not isinstance(group, np.ndarray) else [group]:
            array[...] = 7
    for array, old in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, xs, s: (p, xs[0], s), r"xs must have shape \(T, B, D\), got \(3, 4\)"),
        (lambda p, xs, s: (p, xs[..., :3], s), r"must have shape \(4H \+ 2, 3\), got \(22, 4\)"),
        (
            lambda p, xs, s: (p | {"bias_ih": p["bias_ih"][1:]}, xs, s),
            r"params\['bias_ih'\] must have shape \(22,\), got \(21,\)",
        ),
        (lambda p, xs, s: ({"bias_ih": xs}, xs, s), r"'weight_ih' for mLSTM, got \['bias_ih'\]"),
        (lambda p, xs, s: (p, xs, s[:2]), r"state must be a tuple \(C, n, m\), got tuple"),
        (lambda p, xs, s: (p, xs, (*s[:2], s[1])), r"state \(m\) must have shape \(3,\), got"),
        (lambda p, xs, s: ({k: v[1:] for k, v in p.items()}, xs, s), r"4H \+ 2 rows, got 21"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        forward(*change(*draw()))


def test_bad_derivatives_and_sizes():
    params, xs, state = draw()
    with pytest.raises(ValueError, match=r"dys must have shape \(7, 3, 5\)"):
        backward(params, xs, np.ones((T, B, 4)))
    with pytest.raises(ValueError, match=r"dstate \(n\) must have shape \(3, 5\)"):
        backward(params, xs, np.ones((T, B, H)), state, (state[0], state[2], state[2]))
    with pytest.raises(ValueError, match="D must be a whole number of at least 1, got 0"):
        init(0, 4, np.random.default_rng(0))
