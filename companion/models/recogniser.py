"""A small speech recogniser: a bidirectional LSTM that is trained with CTC. Needs PyTorch.

It reads the frames of a recording, such as log-mel energies, and gives at each step the
probabilities of its classes: words or letters, and as class 0 the blank. How CTC turns them into
a transcript is in `companion.ctc` and `companion.decode`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.func import functional_call
from torch.nn import functional as F

from companion.ctc import BLANK
from companion.data import padded
from companion.decode import ctc_greedy
from companion.types import Array, Batches


class Recogniser(torch.nn.Module):
    """Frames of D numbers to log-probabilities of K classes: layers of H units each way.

    Called with a pair (x, lengths), x (T, B, D) filled up to the longest and lengths (B,); returns
    log-probabilities (T, B, K), of which only the first lengths[b] steps of sequence b count.
    D: numbers in a frame. K: classes, the blank included, which is class 0. H: units of each
    direction. layers: how many stand on one another.
    Source: Graves, Fernández, Gomez and Schmidhuber (2006), section 5.
    """

    def __init__(self, D: int, K: int, H: int, layers: int = 1) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(D, H, num_layers=layers, bidirectional=True)
        self.readout = torch.nn.Linear(2 * H, K)

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return F.log_softmax(self.readout(both_ways(self.lstm, *batch)), -1)


def both_ways(lstm: torch.nn.LSTM, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Outputs (T, B, 2H) of a bidirectional LSTM on a filled batch, as if it had been packed.

    PyTorch runs a packed batch without its fused kernel for CPUs. So each direction reads the
    batch as it is, the second one with every sequence turned round within its own length: what
    comes after it is read last, and changes nothing before. Outputs after the end of a sequence
    mean nothing.
    lstm: a bidirectional `torch.nn.LSTM` with biases, time first; its dropout is left out.
    x: (T, B, D). lengths: (B,).
    """
    t = torch.arange(len(x), device=x.device)[:, None]
    turned = torch.where(t < lengths.to(x.device), lengths.to(x.device) - 1 - t, t)[..., None]
    for k in range(lstm.num_layers):
        one_way = torch.nn.LSTM(x.shape[-1], lstm.hidden_size, device="meta")
        ys = []
        for end, back in (("", False), ("_reverse", True)):
            names = dict(one_way.named_parameters())
            weights = {name: getattr(lstm, f"{name[:-1]}{k}{end}") for name in names}
            seen = x.gather(0, turned.expand_as(x)) if back else x
            y, _ = functional_call(one_way, weights, (seen,))
            ys.append(y.gather(0, turned.expand_as(y)) if back else y)
        x = torch.cat(ys, -1)
    return x


def joined(frames: Array, n: int) -> Array:
    """Every n frames as one of n times as many numbers.

    Fewer steps are faster, and a word needs only one.
    frames: (T, D). n: frames that become one.
    Returns (ceil(T / n), n·D); the last row is filled up with the last frame.
    Raises ValueError for no frame or n below 1.
    """
    if n < 1 or not len(frames):
        raise ValueError(
            f"n and the number of frames must be at least 1, got {n} and {len(frames)}"
        )
    rest = -len(frames) % n
    whole = np.concatenate([frames, np.repeat(frames[-1:], rest, 0)])
    return whole.reshape(-1, n * frames.shape[1])


def transcribed(
    recordings: Sequence[Array],
    transcripts: Sequence[Sequence[int]],
    B: int,
    seed: int | None = None,
) -> Batches:
    """Batches for `companion.train.fit`, with `batch_dim=(1, 0)`, and for `Recogniser`.

    recordings: N float32 arrays (T_k, D), N ≥ 1. transcripts: N sequences of classes, whole
    numbers above 0, each of at least one. B: recordings in a batch. seed: of the order, as for
    `companion.data.padded`.
    Returns a function of the epoch. It yields pairs ((x, lengths), (y, lengths, lengths of y)):
    x (T, B, D) and lengths (B,) as of `padded`; y int64 (B, U), the transcripts filled up with
    blanks, U being the length of the longest of all N; lengths of y (B,).
    Raises ValueError as `padded` does, and for a transcript that is empty or holds a blank.
    """
    y = [torch.as_tensor(transcript) for transcript in transcripts]
    bad = [k for k, transcript in enumerate(y) if not len(transcript) or transcript.min() <= BLANK]
    if bad:
        raise ValueError(
            f"transcripts must hold at least one class each, all above {BLANK}, "
            f"got {transcripts[bad[0]]} as number {bad[0]}"
        )
    many = torch.tensor([len(transcript) for transcript in y])
    batches = padded(recordings, np.arange(len(y)), B, seed)
    filled = torch.nn.utils.rnn.pad_sequence(y, batch_first=True, padding_value=BLANK)

    def labelled(epoch):
        for (x, lengths), number in batches(epoch):
            yield (x, lengths), (filled[number], lengths, many[number])

    return labelled


def loss(
    log_probs: torch.Tensor, y: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, int]:
    """Minus the log-probability of the transcripts in nats, summed, and the number of recordings.

    A recording that is too short for its transcript adds nothing to the sum.
    log_probs: (T, B, K), as of `Recogniser`. y: as `transcribed` gives it.
    Returns a scalar tensor and B.
    """
    labels, lengths, many = y
    total = F.ctc_loss(log_probs, labels, lengths, many, BLANK, reduction="sum", zero_infinity=True)
    return total, len(many)


@torch.no_grad()
def log_probabilities(
    model: torch.nn.Module, recordings: Sequence[Array], B: int = 64
) -> list[Array]:
    """Log-probabilities of the classes at each step of each recording.

    model: a `Recogniser`; it is left in evaluation mode. recordings: float32 arrays (T_k, D).
    B: how many the model reads at a time.
    Returns a list of float64 arrays (T_k, K), in the order of the recordings.
    """
    model.eval()
    found = []
    for start in range(0, len(recordings), B):
        part = [torch.as_tensor(x) for x in recordings[start : start + B]]
        lengths = torch.tensor([len(x) for x in part])
        log_probs = model((torch.nn.utils.rnn.pad_sequence(part), lengths)).double().numpy()
        found += [log_probs[:T, b].copy() for b, T in enumerate(lengths.tolist())]
    return found


def greedy(
    model: torch.nn.Module, recordings: Sequence[Array], B: int = 64
) -> list[tuple[int, ...]]:
    """The transcript of each recording by `companion.decode.ctc_greedy`: tuples of classes.

    Arguments as of `log_probabilities`.
    Returns a list of tuples, in the order of the recordings; a tuple may be empty.
    """
    return [ctc_greedy(log_p).tokens for log_p in log_probabilities(model, recordings, B)]
