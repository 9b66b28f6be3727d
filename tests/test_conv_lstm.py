"""The convolutional LSTM against plain loops and against the fully connected cell."""

import numpy as np
import pytest
import torch

from companion.models.conv_lstm import ConvLSTM, convolutional, fully_connected, loss
from companion.nn import PeepholeLSTM

T, B, D, H = 5, 2, 3, 4


def layer(n):
    torch.manual_seed(0)
    model = ConvLSTM(D, H, n).double()
    for value in model.parameters():
        torch.nn.init.uniform_(value, -0.5, 0.5)
    return model


def films(rows, columns):
    torch.manual_seed(1)
    xs = torch.randn(T, B, D, rows, columns).double()
    return xs, tuple(torch.randn(2, B, H, rows, columns).double())


def by_hand(model, xs, state):
    """Shi et al. (2015, equation 3), place by place."""
    W, V = model.recurrent.weight.detach().numpy(), model.input.weight.detach().numpy()
    bias, p = model.input.bias.detach().numpy(), model.peepholes.detach().numpy()
    (h, c), n, ys = (s.numpy() for s in state), W.shape[-1] // 2, []

    def around(x, r, k):
        wide = np.pad(x, ((0, 0), (0, 0), (n, n), (n, n)))
        return wide[:, :, r : r + 2 * n + 1, k : k + 2 * n + 1]

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    for x in xs.numpy():
        a = np.zeros((B, 4 * H, *x.shape[2:]))
        for r in range(x.shape[2]):
            for k in range(x.shape[3]):
                a[:, :, r, k] = bias + np.einsum("bdij,hdij->bh", around(x, r, k), V)
                a[:, :, r, k] += np.einsum("bdij,hdij->bh", around(h, r, k), W)
        ai, af, ag, ao = np.split(a, 4, 1)
        new = sigmoid(af + p[1] * c) * c + sigmoid(ai + p[0] * c) * np.tanh(ag)
        h, c = sigmoid(ao + p[2] * new) * np.tanh(new), new
        ys.append(h)
    return np.stack(ys), c


def test_it_is_its_equation():
    model, (xs, state) = layer(3), films(4, 5)
    ys, (h, c) = model(xs, state)
    expected, last = by_hand(model, xs, state)
    # sums of 36 terms in another order
    assert np.allclose(ys.detach(), expected, rtol=0, atol=1e-12)
    assert np.allclose(c.detach(), last, rtol=0, atol=1e-12) and torch.equal(h, ys[-1])


def test_on_a_picture_of_one_place_it_is_the_peephole_lstm():
    model, (xs, state) = layer(3), films(1, 1)
    flat = PeepholeLSTM(D, H).double()
    with torch.no_grad():
        flat.weight_ih_l0.copy_(model.input.weight[..., 1, 1])  # beyond the edge is nothing
        flat.weight_hh_l0.copy_(model.recurrent.weight[..., 1, 1])
        flat.bias_ih_l0.copy_(model.input.bias)
        flat.bias_hh_l0.zero_()
        for name, value in zip("ifo", model.peepholes, strict=True):
            getattr(flat, f"p_{name}_l0").copy_(value[:, 0, 0])
    ys, last = model(xs, state)
    zs, end = flat(xs[..., 0, 0], tuple(s[None, ..., 0, 0] for s in state))
    assert torch.allclose(ys[..., 0, 0], zs, rtol=0, atol=1e-12)
    weights = torch.randn_like(zs)
    (ys[..., 0, 0] * weights).sum().add(last[1].sum()).backward()
    (zs * weights).sum().add(end[1].sum()).backward()
    pairs = [
        (model.input.weight.grad[..., 1, 1], flat.weight_ih_l0.grad),
        (model.recurrent.weight.grad[..., 1, 1], flat.weight_hh_l0.grad),
        (model.input.bias.grad, flat.bias_ih_l0.grad),
        (model.peepholes.grad[2, :, 0, 0], flat.p_o_l0.grad),
    ]
    for found, expected in pairs:
        assert torch.allclose(found, expected, rtol=0, atol=1e-10)


def test_gradients():
    model, (xs, state) = layer(3), films(2, 3)
    names = [name for name, _ in model.named_parameters()]

    def run(xs, h, c, *values):
        call = torch.func.functional_call
        ys, (_, c) = call(model, dict(zip(names, values, strict=True)), (xs, (h, c)))
        return ys, c

    given = [xs[:, :1], *(s[:1] for s in state), *(v.detach() for v in model.parameters())]
    assert torch.autograd.gradcheck(run, [v.clone().requires_grad_() for v in given])


def test_chunks_give_the_whole():
    model, (xs, _) = layer(3), films(3, 4)
    first, state = model(xs[:2])
    rest, last = model(xs[2:], state)
    ys, end = model(xs)
    assert torch.allclose(torch.cat([first, rest]), ys, rtol=0, atol=1e-12)
    assert torch.allclose(last[1], end[1], rtol=0, atol=1e-12)


def test_what_moves_in_the_middle_moves_in_the_output():
    model = layer(3)
    xs = torch.zeros(2, 1, D, 12, 12).double()
    xs[..., 4:6, 4:6] = torch.randn(2, 1, D, 2, 2).double()
    moved = torch.roll(xs, (1, 2), (-2, -1))
    ys, zs = model(xs)[0], model(moved)[0]
    # two steps see two places far, so that the edge is felt up to two places from it
    inside = torch.roll(ys, (1, 2), (-2, -1))[..., 4:-4, 4:-4]
    assert torch.allclose(inside, zs[..., 4:-4, 4:-4], rtol=0, atol=1e-12)
    assert not torch.allclose(ys[..., 4:-4, 4:-4], zs[..., 4:-4, 4:-4], atol=1e-3)


@pytest.mark.parametrize("kind", ["conv", "flat"])
def test_a_forecast_reads_what_it_wrote(kind):
    torch.manual_seed(0)
    model = convolutional(3, 3, 3) if kind == "conv" else fully_connected(5, 6, 3)
    model = model.double()
    frames = torch.rand(4, 2, 6, 6).double()
    logits = model(frames)
    assert logits.shape == (6, 2, 6, 6)
    longer = torch.cat([frames, torch.sigmoid(logits[3:5])])
    model.ahead = 1
    assert torch.allclose(model(longer), logits, rtol=0, atol=1e-12)
    other = frames.clone()
    other[2:] = torch.rand(2, 2, 6, 6)
    early = model(other)
    assert torch.allclose(early[:2], logits[:2], rtol=0, atol=1e-12)
    assert not torch.allclose(early[2], logits[2], atol=1e-4)


def test_loss_counts_frames():
    frames = torch.rand(3, 2, 4, 4)
    total, count = loss(torch.zeros(3, 2, 4, 4), frames)
    assert count == 6 and abs(total.item() / count - 16 * np.log(2)) < 1e-4  # float32


def test_a_film_is_continued_by_a_frame_at_least():
    assert convolutional(1, 3, 1)(torch.zeros(2, 1, 4, 4)).shape == (2, 1, 4, 4)
    with pytest.raises(ValueError, match="ahead must be at least 1 frame, got 0"):
        convolutional(1, 3, 0)


def test_an_even_kernel_has_no_middle():
    with pytest.raises(ValueError, match="n must be odd, .*got 4"):
        ConvLSTM(1, 1, 4)
