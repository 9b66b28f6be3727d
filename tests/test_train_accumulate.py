"""Gradients of several batches in one update: those of one batch that has them all."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import StepLR
from train_script import new_net, pieces

from companion.train import Options, fit

mse = torch.nn.functional.mse_loss
SGD = partial(torch.optim.SGD, lr=0.5, momentum=0.9)
OPTIONS = Options(
    epochs=2, optimizer=SGD, clip=0.3, schedule=partial(StepLR, step_size=3, gamma=0.1)
)


@pytest.fixture(autouse=True)
def no_bars(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


class Readout(torch.nn.Module):
    """The network without its state, for batches that do not follow one another."""

    def __init__(self):
        super().__init__()
        self.net = new_net(dtype=torch.float64)

    def forward(self, x):
        return self.net(x)[0]


def counted(output, y):
    """A loss that counts the steps of positive y only: other counts in every batch."""
    return ((output - y) ** 2 * (y > 0)).sum(), (y > 0).sum()


def stretch(x, y, sizes):
    """Batches of so many of the sequences."""
    return list(zip(x.split(sizes, 1), y.split(sizes, 1), strict=True))


@pytest.mark.parametrize("loss", [mse, counted])
def test_it_is_the_update_of_all_their_sequences(loss):
    x, y = pieces(0, B=9, dtype=torch.float64)[0]
    many, one = Readout(), Readout()
    # Three updates an epoch: of 3 + 1, of 2 + 1, and of what is left, 2.
    found = fit(many, loss, stretch(x, y, [3, 1, 2, 1, 2]), replace(OPTIONS, accumulate=2))
    wanted = fit(one, loss, stretch(x, y, [4, 3, 2]), OPTIONS)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(many.state_dict()[name], value, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.train, wanted.train, rtol=1e-12)
    start = Readout().state_dict()
    assert all((start[name] - value).abs().max() > 1e-3 for name, value in one.state_dict().items())


def test_the_state_is_carried_through_all_batches():
    data = pieces(0)
    model, seen = new_net(), []

    def loss(output, y):
        seen.append([value.detach().clone() for value in model.parameters()])
        return mse(output, y)

    fit(model, loss, data, replace(OPTIONS, epochs=1, accumulate=2, carry=True))
    with torch.no_grad():
        assert len(seen) == len(data) == 5
        same = [all(map(torch.equal, one, two)) for one, two in zip(seen, seen[1:], strict=False)]
        assert same == [True, False, True, False]
    # At a rate of 0 the losses are those of one pass that carries its state.
    still = partial(torch.optim.SGD, lr=0.0)
    model = new_net()
    history = fit(model, mse, data, Options(epochs=1, accumulate=2, carry=True, optimizer=still))
    state, losses = None, []
    with torch.no_grad():
        for x, y in data:
            output, state = model(x, state)
            losses.append(mse(output, y).item())
    assert history.train == pytest.approx([np.mean(losses)], rel=1e-6)


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5, 7, 8])
def test_interrupted_anywhere_it_goes_on_to_the_same_bits(tmp_path, calls):
    options = replace(OPTIONS, accumulate=2, carry=True, every=1)

    class Stop(Exception):
        pass

    left = iter(range(calls))

    def stopping(output, y):
        if next(left, None) is None:
            raise Stop
        return mse(output, y)

    def run(loss, path):
        model = new_net(dropout=0.2)
        return model, fit(model, loss, lambda epoch: pieces(epoch), options, checkpoint=path)

    with pytest.raises(Stop):
        run(stopping, tmp_path / "run.pt")
    resumed, history = run(mse, tmp_path / "run.pt")
    straight, wanted = run(mse, None)
    assert history == wanted
    for name, value in straight.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value)


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="accumulate must be at least 1, got 0"):
        Options(accumulate=0)
    path = tmp_path / "run.pt"
    fit(new_net(), mse, pieces(0), Options(epochs=1, carry=True), checkpoint=path)
    with pytest.raises(ValueError, match="accumulate was 1, here it is 2"):
        fit(new_net(), mse, pieces(0), Options(epochs=1, carry=True, accumulate=2), checkpoint=path)
