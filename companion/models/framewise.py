"""Networks that give every frame of a recording a label. Needs PyTorch.

Each is called with a pair (x, lengths), x (T, B, D) filled up with zeros to the longest and
lengths (B,), and returns logits (T, B, K). Frames are expected to have mean 0, so that the zeros
before the first and after the last frame are a frame that says nothing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_packed_sequence, pad_sequence

from companion.data import packed, padded
from companion.types import Array, Batches

NO_LABEL = -1  # of a frame that neither the loss nor the error counts


class Window(torch.nn.Module):
    """Label a frame from n frames before it, itself and n after it, by a feed-forward network.

    D: numbers in a frame. K: classes. n: frames on each side, at least 0. H: units of the hidden
    layer; 0 for no hidden layer, which makes the model linear.
    Raises ValueError unless n is at least 0.
    """

    def __init__(self, D: int, K: int, n: int, H: int = 0) -> None:
        super().__init__()
        if n < 0:
            raise ValueError(f"n must be at least 0 frames, got {n}")
        self.n, inputs = n, (2 * n + 1) * D
        if H:
            layers = [torch.nn.Linear(inputs, H), torch.nn.ReLU(), torch.nn.Linear(H, K)]
        else:
            layers = [torch.nn.Linear(inputs, K)]
        self.net = torch.nn.Sequential(*layers)

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, _ = batch
        x = F.pad(x, (0, 0, 0, 0, self.n, self.n))
        return self.net(x.unfold(0, 2 * self.n + 1, 1).flatten(2))


class Recurrent(torch.nn.Module):
    """Label a frame from the hidden state of an LSTM, one way or both.

    D: numbers in a frame. K: classes. H: units of each direction. bidirectional: whether a second
    LSTM reads from the end. delay: how many more frames the network hears before it has to label
    a frame; behind the last frame it hears zeros.
    Raises ValueError unless delay is at least 0.
    Source: Graves and Schmidhuber (2005), for both directions and for the delay.
    """

    def __init__(self, D: int, K: int, H: int, bidirectional: bool = False, delay: int = 0) -> None:
        super().__init__()
        if delay < 0:
            raise ValueError(f"delay must be at least 0 frames, got {delay}")
        self.delay = delay
        self.lstm = torch.nn.LSTM(D, H, bidirectional=bidirectional)
        self.readout = torch.nn.Linear(H * (2 if bidirectional else 1), K)

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, lengths = batch
        x = F.pad(x, (0, 0, 0, 0, 0, self.delay))
        ys, _ = pad_packed_sequence(self.lstm(packed(x, lengths + self.delay))[0])
        return self.readout(ys[self.delay :])


def labelled(
    recordings: Sequence[Array],
    labels: Sequence[Array],
    B: int,
    seed: int | None = None,
    noise: float = 0.0,
) -> Batches:
    """Batches for `companion.train.fit` and the networks here.

    recordings: N float32 arrays (T_k, D), N ≥ 1. labels: N int64 arrays (T_k,), NO_LABEL, -1,
    where a frame does not count. B: recordings in a batch. seed: of the order, as for
    `companion.data.padded`, and of the noise. noise: standard deviation of what is added to every
    number of a frame, drawn anew in every epoch, so that a network learns no recording by heart.
    Returns a function of the epoch. It yields pairs ((x, lengths), y): x (T, B, D), T being the
    longest of the batch, lengths (B,), and y (T, B), NO_LABEL behind the end of a recording.
    Raises ValueError where a recording has not one label a frame, and as `padded` does.
    """
    for x, y in zip(recordings, labels, strict=True):
        if len(x) != len(y):
            raise ValueError(f"labels must be one a frame, got {len(y)} for {len(x)} frames")
    batches = padded(recordings, range(len(labels)), B, seed)
    filled = pad_sequence([torch.as_tensor(y) for y in labels], padding_value=NO_LABEL)

    def batches_with_labels(epoch):
        rng = np.random.default_rng([seed or 0, epoch, 1])
        for (x, lengths), number in batches(epoch):
            if noise:
                inside = torch.arange(len(x))[:, None] < lengths  # the filling stays 0
                drawn = torch.from_numpy(rng.standard_normal(x.shape, np.float32))
                x = x + noise * drawn * inside[..., None]
            yield (x, lengths), filled[: len(x), number]

    return batches_with_labels


def loss(logits: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Cross-entropy in nats, summed over the frames that count, and their number.

    logits: (T, B, K). y: int64 (T, B), NO_LABEL, -1, where a frame does not count.
    """
    total = F.cross_entropy(
        logits.flatten(0, 1), y.flatten(), ignore_index=NO_LABEL, reduction="sum"
    )
    return total, int((y != NO_LABEL).sum())


@torch.no_grad()
def posteriors(model: torch.nn.Module, recordings: Sequence[Array], B: int = 64) -> list[Array]:
    """Probabilities of the classes in every frame: a list of float32 arrays (T_k, K).

    model: one of the networks here; it is left in evaluation mode. recordings: float32 arrays
    (T_k, D), at least one. B: how many the model reads at a time.
    Raises ValueError as `companion.data.padded`.
    """
    model.eval()
    found = []
    for (x, lengths), _ in padded(recordings, range(len(recordings)), B)(0):
        p = model((x, lengths)).softmax(-1).numpy()
        found += [p[:T, b].copy() for b, T in enumerate(lengths.tolist())]
    return found
