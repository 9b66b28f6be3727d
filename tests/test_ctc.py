"""CTC against the sum over all paths, the complex step and torch."""

from itertools import groupby, product

import numpy as np
import pytest
import torch
from ctc_cases import exact, paths, spell

from companion.ctc import ctc_alignment, ctc_loss
from companion.gradcheck import check_gradients
from companion.readout import log_softmax

inf = np.inf
LABELS = ([2, 2, 1], [], [1, 2, 3, 1], [3], [1, 1, 1])
LENGTHS = (7, 5, 6, 1, 5)


def draw(seed, *shape, scale=2.0):
    return np.random.default_rng(seed).normal(0, scale, shape)


def by_torch(logits, labels, lengths):
    """Losses, and the derivative of their sum, by torch in float64."""
    logits = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    sizes = [len(label) for label in labels]
    flat = torch.tensor([k for label in labels for k in label], dtype=torch.long)
    losses = torch.nn.functional.ctc_loss(
        logits.log_softmax(-1), flat, lengths, sizes, reduction="none"
    )
    losses.sum().backward()
    return losses.detach().numpy(), logits.grad.numpy()


@pytest.mark.parametrize(("T", "K"), [(1, 3), (2, 2), (4, 4), (6, 3)])
def test_loss_is_the_sum_over_all_paths(T, K):
    logits = draw(T, T, K)
    known = exact(log_softmax(logits))
    every = [label for n in range(T + 2) for label in product(range(1, K), repeat=n)]
    losses, _ = ctc_loss(np.repeat(logits[:, None], len(every), 1), every)
    expected = [-known.get(label, -inf) for label in every]
    np.testing.assert_allclose(losses, expected, rtol=1e-12, atol=1e-12)
    assert np.exp(-losses).sum() == pytest.approx(1, rel=1e-12)


def test_derivative_by_the_complex_step():
    logits = draw(0, 7, 5, 4)
    losses, dlogits = ctc_loss(logits, LABELS, LENGTHS)
    assert np.isfinite(losses).all()
    report = check_gradients(
        lambda v: ctc_loss(v["logits"], LABELS, LENGTHS)[0].sum(),
        {"logits": logits},
        {"logits": dlogits},
    )
    assert report.ok, report


@pytest.mark.parametrize("seed", range(20))
def test_loss_and_derivative_equal_torch(seed):
    rng = np.random.default_rng(seed)
    T, B, K = rng.integers(4, 30), rng.integers(1, 5), rng.integers(2, 7)
    logits = rng.normal(0, 3, (T, B, K))
    lengths = rng.integers(4, T + 1, B)
    # n labels need at most 2n - 1 steps
    labels = [rng.integers(1, K, rng.integers(0, (n + 1) // 2 + 1)).tolist() for n in lengths]
    losses, dlogits = ctc_loss(logits, labels, lengths)
    expected, gradient = by_torch(logits, labels, lengths.tolist())
    np.testing.assert_allclose(losses, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dlogits, gradient, rtol=0, atol=1e-12)


def test_a_long_sequence_loses_no_digits():
    logits = draw(1, 1500, 1, 6, scale=5)
    label = np.random.default_rng(2).integers(1, 6, 300).tolist()
    losses, dlogits = ctc_loss(logits, [label])
    expected, gradient = by_torch(logits, [label], [1500])
    assert losses[0] > 1000
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    np.testing.assert_allclose(dlogits, gradient, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("label", "needed"), [([1], 1), ([1, 2], 2), ([1, 1], 3), ([2, 2, 2, 1, 1], 8), ([], 0)]
)
def test_too_few_steps_give_an_infinite_loss_and_no_derivative(label, needed):
    logits = draw(3, 8, 2, 3)
    for n in range(9):
        losses, dlogits = ctc_loss(logits, [label, [1]], [n, 8])
        other, dother = ctc_loss(logits[:, 1:], [[1]])
        np.testing.assert_array_equal(losses[1], other[0])
        np.testing.assert_array_equal(dlogits[:, 1:], dother)
        if n < needed:
            assert losses[0] == inf and not dlogits[:, 0].any()
            with pytest.raises(ValueError, match=rf"{n} steps .* needs at least {needed} steps"):
                ctc_alignment(logits[:n, 0], label)
        else:
            assert losses[0] < inf and dlogits[:n, 0].any() == (n > 0)
            np.testing.assert_array_equal(dlogits[n:, 0], 0)


def test_a_class_of_probability_0():
    logits = draw(4, 5, 1, 4)
    logits[:, :, 2] = logits[2, :, 0] = -inf
    known = exact(log_softmax(logits[:, 0]))
    for label in [(1,), (3, 1), (1, 1), (), (2,), (1, 2)]:
        with np.errstate(all="raise", under="ignore"):
            losses, dlogits = ctc_loss(logits, [label])
        assert losses[0] == pytest.approx(-known.get(label, -inf), rel=1e-12)
        assert not dlogits[:, :, 2].any() and dlogits.any() == (label in known)
        if label in known:  # the same network without that class
            fewer = [k - (k > 2) for k in label]
            few, dfew = ctc_loss(np.delete(logits, 2, 2), [fewer])
            np.testing.assert_allclose(losses, few, rtol=1e-13)
            np.testing.assert_allclose(np.delete(dlogits, 2, 2), dfew, atol=1e-13)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e15, 1e300, 1.7e308])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_finite_logits_go_without_a_warning(dtype, scale):
    largest = min(scale, float(np.finfo(dtype).max))
    logits = draw(5, 7, 5, 4, scale=1).clip(-1, 1).astype(dtype) * dtype(largest)
    with np.errstate(all="raise", under="ignore"):
        losses, dlogits = ctc_loss(logits, LABELS, LENGTHS)
    assert not np.isnan(losses).any() and np.abs(dlogits).max() <= 1
    np.testing.assert_allclose(dlogits.sum(-1), 0, atol=1e-6)
    if scale <= 1e4:
        expected, gradient = by_torch(logits, LABELS, LENGTHS)
        np.testing.assert_allclose(losses, expected, rtol=1e-12)
        np.testing.assert_allclose(dlogits, gradient, atol=1e-6)


def test_float32_comes_back_and_is_as_good_as_it_can_be():
    logits = draw(6, 200, 5, 4)
    lengths = (200, 150, 100, 50, 25)
    losses, dlogits = ctc_loss(logits.astype(np.float32), LABELS, lengths)
    expected, gradient = ctc_loss(logits.astype(np.float32).astype(np.float64), LABELS, lengths)
    assert losses.dtype == np.float64 and dlogits.dtype == np.float32
    np.testing.assert_array_equal(losses, expected)
    np.testing.assert_array_equal(dlogits, gradient.astype(np.float32))


def test_padding_is_not_read_and_nothing_is_changed():
    logits = draw(7, 7, 5, 4)
    padded = logits.copy()
    for b, n in enumerate(LENGTHS):
        padded[n:, b] = np.nan
    before = padded.copy()
    losses, dlogits = ctc_loss(padded, [np.array(label) for label in LABELS], np.array(LENGTHS))
    np.testing.assert_array_equal(padded, before)
    for b, (label, n) in enumerate(zip(LABELS, LENGTHS, strict=True)):
        alone, dalone = ctc_loss(logits[:n, b : b + 1], [label])
        np.testing.assert_array_equal(losses[b], alone[0])
        np.testing.assert_array_equal(dlogits[:n, b], dalone[:, 0])
        np.testing.assert_array_equal(dlogits[n:, b], 0)


def test_no_steps_and_no_sequences():
    losses, dlogits = ctc_loss(np.zeros((0, 2, 3)), [[], [1]])
    np.testing.assert_array_equal(losses, [0, inf])
    assert dlogits.shape == (0, 2, 3)
    losses, dlogits = ctc_loss(np.zeros((4, 0, 3)), [], [])
    assert losses.shape == (0,) and dlogits.shape == (4, 0, 3)
    assert ctc_alignment(np.zeros((0, 3)), []).shape == (0, 1)


@pytest.mark.parametrize("label", [(), (1,), (2, 1), (1, 1), (1, 2, 2)])
def test_alignment_is_the_share_of_paths_at_each_place(label):
    T, K = 6, 3
    logits = draw(8, T, K)
    p = np.exp(log_softmax(logits))
    expected = np.zeros((T, 2 * len(label) + 1))
    for path in filter(lambda path: spell(path) == label, paths(T, K)):
        begun, weight = 0, np.prod(p[np.arange(T), path])
        for k, run in groupby(enumerate(path), lambda entry: entry[1]):
            begun += k != 0
            for t, _ in run:
                expected[t, 2 * begun - (k != 0)] += weight
    expected /= expected[0].sum()
    np.testing.assert_allclose(ctc_alignment(logits, label), expected, atol=1e-13)


def test_alignment_of_the_likeliest_time():
    logits = np.full((6, 3), 0.0)
    logits[:, 0] = 20
    logits[4] = [0, 20, 0]
    shares = ctc_alignment(logits.astype(np.float32), [1])
    np.testing.assert_allclose(shares[3:, 1], [0, 1, 0], atol=1e-6)
    assert np.argmax(shares, 1).tolist() == [0, 0, 0, 0, 1, 2]


def test_log_softmax():
    logits = draw(9, 4, 3, 5, scale=30)
    expected = torch.tensor(logits).log_softmax(-1).numpy()
    np.testing.assert_allclose(log_softmax(logits), expected, rtol=1e-14, atol=1e-15)
    assert log_softmax(logits.astype(np.float32)).dtype == np.float32
    with np.errstate(all="raise", under="ignore"):
        far = log_softmax(np.array([[1.7e308, -1.7e308, -inf], [-inf, 3, 3]]))
    np.testing.assert_allclose(far, [[0, -inf, -inf], [-inf, -np.log(2), -np.log(2)]])
    turned = log_softmax(logits + 1e-30j * np.eye(5)[0])
    slope = np.eye(5)[0] - np.exp(expected[..., :1])
    np.testing.assert_allclose(turned.imag / 1e-30, slope, atol=1e-14)


x = np.zeros((4, 2, 3))
bad = x.copy()
bad[1, 1, 2] = np.nan
up = x.copy()
up[3, 0, 0] = inf
dead = x.copy()
dead[2, 1] = -inf


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ctc_loss(x.tolist(), [[1], [1]]), "logits must be a NumPy array, got list"),
        (lambda: ctc_loss(x[0], [[1], [1]]), r"logits must have shape \(T, B, K\), got \(2, 3\)"),
        (lambda: ctc_loss(x.astype(int), [[1], [1]]), "logits must be float32 or float64"),
        (lambda: ctc_loss(bad, [[1], [1]]), r"logits\[:, 1\] must be finite or -inf, got NaN"),
        (lambda: ctc_loss(up, [[1], [1]]), r"logits\[:, 0\] must be finite or -inf"),
        (lambda: ctc_loss(dead, [[1], [1]]), r"logits\[:, 1\] must have a number above -inf"),
        (lambda: ctc_loss(x, [[1]]), "labels must be 2 sequences, one for each .*, got 1"),
        (lambda: ctc_loss(x, 1), "labels must be 2 sequences, .*, got int"),
        (lambda: ctc_loss(x, [[1], [3]]), r"labels\[1\] must be in 1 … 2, .* got 3 … 3"),
        (lambda: ctc_loss(x, [[1, 0], [1]]), r"labels\[0\] must be in 1 … 2, since 0 is the blank"),
        (lambda: ctc_loss(x, [[1.0], [1]]), r"labels\[0\] must be a sequence of whole .* float64"),
        (lambda: ctc_loss(x, [1, 2]), r"labels\[0\] must be a sequence .* shape \(\)"),
        (lambda: ctc_loss(x, [[1], [1]], [4]), r"lengths must be .* shape \(2,\), got .* \(1,\)"),
        (lambda: ctc_loss(x, [[1], [1]], [4, 2.0]), "lengths must be whole numbers .* float64"),
        (lambda: ctc_loss(x, [[1], [1]], [4, 5]), "lengths must be in 0 … 4, got 4 … 5"),
        (lambda: ctc_loss(x, [[1], [1]], [-1, 4]), "lengths must be in 0 … 4, got -1 … 4"),
        (lambda: ctc_alignment(x, [1]), r"logits must have shape \(T, K\), got \(4, 2, 3\)"),
        (lambda: ctc_alignment(x[:, 0], [3]), "label must be in 1 … 2"),
        (lambda: ctc_alignment(bad[:, 1], [1]), "logits must be finite or -inf"),
        (lambda: ctc_alignment(x[:, 0], [1, 1, 1]), "label must have a path of 4 steps"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
