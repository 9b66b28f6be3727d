"""LSTM whose states are pictures, and networks that continue a film. Needs PyTorch."""

import torch
from torch import nn
from torch.nn import functional as F

from companion.nn import PeepholeLSTM

Hidden = tuple[torch.Tensor, torch.Tensor]  # (h, c)


class ConvLSTM(nn.Module):
    """Peephole LSTM in which a convolution stands for every product with a matrix.

    Every place of the picture has the same weights, and sees n × n places around it; beyond the
    edge it sees zeros. The forget gate's bias starts at 1, peepholes start at 0.
    D, H: channels of the input and of the states. n: rows and columns of the kernels, odd.
    Raises ValueError unless n is odd and at least 1.
    Source: Shi et al. (2015, equation 3). Their peepholes have one weight for each channel and
    place; here a channel has one for all places, so that the layer runs on pictures of any size.
    """

    def __init__(self, D: int, H: int, n: int = 3) -> None:
        super().__init__()
        if n < 1 or n % 2 == 0:
            raise ValueError(f"n must be odd, so that a kernel has a middle, got {n!r}")
        self.H = H
        self.input = nn.Conv2d(D, 4 * H, n, padding=n // 2)
        self.recurrent = nn.Conv2d(H, 4 * H, n, padding=n // 2, bias=False)
        self.peepholes = nn.Parameter(torch.zeros(3, H, 1, 1))
        with torch.no_grad():
            self.input.get_parameter("bias")[H : 2 * H] = 1.0

    def forward(self, xs: torch.Tensor, state: Hidden | None = None) -> tuple[torch.Tensor, Hidden]:
        """Run over a batch of films.

        xs: (T, B, D, rows, columns). state: the first (h, c), each (B, H, rows, columns); None
        means zeros.
        Returns h at every step, (T, B, H, rows, columns), and the last state (h, c).
        """
        T, B, _, rows, columns = xs.shape
        if state is None:
            state = (xs.new_zeros(B, self.H, rows, columns),) * 2
        ys, ax = [], self.input(xs.flatten(0, 1)).unflatten(0, (T, B))
        for t in range(T):
            state = self.step(ax[t], *state)
            ys.append(state[0])
        return torch.stack(ys), state

    def step(self, ax: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> Hidden:
        """One step, from the input's part of the pre-activations: the new (h, c).

        ax: (B, 4H, rows, columns), in blocks of H channels for i, f, g and o, biases included.
        h, c: (B, H, rows, columns).
        """
        p_i, p_f, p_o = self.peepholes
        ai, af, ag, ao = (ax + self.recurrent(h)).chunk(4, 1)
        i, f, g = torch.sigmoid(ai + p_i * c), torch.sigmoid(af + p_f * c), torch.tanh(ag)
        c = f * c + i * g
        o = torch.sigmoid(ao + p_o * c)
        return o * torch.tanh(c), c


class Forecaster(nn.Module):
    """Watch a film, then continue it: each new frame is what the network reads next.

    Frames are cut into squares of 2 × 2 pixels, which are 4 channels at one place; Shi et al.
    (2015) cut them into squares of 4 × 4.
    core: called as core(xs, state) -> (ys, state), with xs (T, B, 4, rows / 2, columns / 2) and
    None as the first state. readout: from one step's output, ys[t], to logits of the next frame,
    (B, 4, rows / 2, columns / 2). ahead: frames to continue by, at least 1.
    """

    def __init__(self, core: nn.Module, readout: nn.Module, ahead: int) -> None:
        super().__init__()
        if ahead < 1:
            raise ValueError(f"ahead must be at least 1 frame, got {ahead}")
        self.core, self.readout, self.ahead = core, readout, ahead

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Logits of the pixels of all frames but the first, and of the `ahead` frames to come.

        frames: (T, B, rows, columns), from 0 to 1, rows and columns even.
        Returns (T - 1 + ahead, B, rows, columns): first the T - 1 frames after the first, each
        from the true ones before it, then the `ahead` frames that follow, each from the T given
        and what the network itself has added to them.
        """
        ys, state = self.core(F.pixel_unshuffle(frames[:, :, None], 2))
        logits = [self.readout(y) for y in ys]
        while len(logits) < len(frames) - 1 + self.ahead:
            ys, state = self.core(torch.sigmoid(logits[-1])[None], state)
            logits.append(self.readout(ys[-1]))
        return F.pixel_shuffle(torch.stack(logits), 2)[:, :, 0]


class Flat(nn.Module):
    """A fully connected peephole LSTM that reads each picture as one row of numbers.

    picture: its shape, (C, rows, columns), a `torch.Size`. H: units.
    """

    def __init__(self, picture: torch.Size, H: int) -> None:
        super().__init__()
        self.lstm = PeepholeLSTM(picture.numel(), H, forget_bias=1.0)

    def forward(self, xs: torch.Tensor, state: Hidden | None = None) -> tuple[torch.Tensor, Hidden]:
        """Run over a batch of films.

        xs: (T, B, C, rows, columns). state: the first (h, c), each (1, B, H); None means zeros.
        Returns h at every step, (T, B, H), and the last state (h, c).
        """
        return self.lstm(xs.flatten(2), state)


def convolutional(H: int, n: int, ahead: int) -> Forecaster:
    """A `Forecaster` with one `ConvLSTM` of H channels and kernels of n × n, for any size.

    Its readout is two convolutions, where Shi et al. (2015) have one of 1 × 1 over several layers.
    n: odd. ahead: frames to continue by, at least 1.
    Raises ValueError unless n is odd and at least 1.
    """
    readout = nn.Sequential(
        nn.Conv2d(H, 2 * H, n, padding=n // 2), nn.ReLU(), nn.Conv2d(2 * H, 4, 1)
    )
    return Forecaster(ConvLSTM(4, H, n), readout, ahead)


def fully_connected(H: int, size: int, ahead: int) -> Forecaster:
    """A `Forecaster` with one `PeepholeLSTM` of H units, for frames of size × size pixels.

    size: even. ahead: frames to continue by, at least 1.
    """
    picture = torch.Size((4, size // 2, size // 2))
    readout = nn.Sequential(
        nn.Linear(H, 2 * H),
        nn.ReLU(),
        nn.Linear(2 * H, picture.numel()),
        nn.Unflatten(1, picture),
    )
    return Forecaster(Flat(picture, H), readout, ahead)


def loss(logits: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Binary cross-entropy in nats, summed over all pixels, and the number of frames, N · B.

    logits: (N, B, rows, columns). frames: the true ones, from 0 to 1, of the same shape.
    """
    total = F.binary_cross_entropy_with_logits(logits, frames, reduction="sum")
    return total, frames.shape[0] * frames.shape[1]
