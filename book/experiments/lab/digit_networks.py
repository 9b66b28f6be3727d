"""Networks that hear strings of digits: how they are trained, and what they answer."""

from functools import lru_cache, partial

import numpy as np
import torch

from book.experiments.lab import digit_strings
from book.experiments.lab.digit_strings import per_step, said, steps, strings, text
from companion.decode import ctc_beam_search, ctc_greedy
from companion.models.recogniser import Recogniser, log_probabilities, loss, transcribed
from companion.train import Options, fit

SETTINGS = {
    "H": 64,
    "B": 20,
    "lr": 0.007,
    "epochs": 60,
    "versions": 20,
    "beam": 16,
    "shortest": 4,
}


class Person:
    """Recordings and a name, which a cache can tell from others."""

    def __init__(self, name, recordings):
        self.name, self.recordings = name, recordings


def train(people, ways, seed, epochs, framewise=False):
    """A network that has heard these people, each recording once an epoch, and its losses.

    ways: as for `digit_strings.utterance`. framewise: with a label for each step, not with CTC.
    """
    torch.manual_seed(seed)
    frames, bands = digit_strings.SETTINGS["frames"], digit_strings.SETTINGS["bands"]
    model = Recogniser(frames * bands, 11, SETTINGS["H"])

    def batches(epoch):
        version = epoch % SETTINGS["versions"]
        spoken = [s for person in people for s in one_version(person, ways, seed, version)]
        order = by_length([len(x) for x, _, _ in spoken], np.random.default_rng([seed, epoch]))
        xs, transcripts, classes = zip(*[spoken[k] for k in order], strict=True)
        # One more than the class of a step: for `transcribed` 0 is filling, not a class.
        y = [k + 1 for k in classes] if framewise else transcripts
        return transcribed(xs, y, SETTINGS["B"])(epoch)

    rate = partial(
        torch.optim.lr_scheduler.OneCycleLR,
        max_lr=SETTINGS["lr"],
        total_steps=epochs * sum(1 for _ in batches(0)) + 1,
        pct_start=0.1,
    )
    options = Options(
        epochs=epochs,
        optimizer=partial(torch.optim.Adam, lr=SETTINGS["lr"]),
        schedule=rate,
        clip=5,
        batch_dim=(1, 0),
        seed=seed,
    )
    history = fit(model, frame_loss if framewise else loss, batches, options)
    return model, history.train


@lru_cache(maxsize=6 * SETTINGS["versions"])  # for all networks that hear this person
def one_version(person, ways, seed, version):
    """What the networks of this seed hear of a person: a list of (x, transcript, classes)."""
    rng = np.random.default_rng([seed, version, *person.name.encode()])
    spoken = strings(person.recordings, ways, rng)
    return [(steps(string.x), string.digits + 1, per_step(string)) for string in spoken]


def by_length(lengths, rng):
    """An order in which strings of about one length share a batch: it has little filling then.

    The batches, of which the last may be smaller, are in random order.
    """
    order, B = np.argsort(lengths, kind="stable"), SETTINGS["B"]
    whole = len(order) // B * B
    parts = rng.permutation(order[:whole].reshape(-1, B))
    return np.concatenate([parts.ravel(), order[whole:]])


def frame_loss(log_probs, y):
    """Cross-entropy, its mean over all steps: for targets that say which class each step is.

    log_probs: (T, B, K). y: as `transcribed` gives it, with one more than the class of each step.
    """
    targets, lengths, _ = y
    inside = targets.T[: len(log_probs)] > 0
    classes = (targets.T[: len(log_probs)] - 1).clamp(min=0)
    chosen = log_probs.gather(2, classes[..., None])[..., 0]
    return -(chosen * inside).sum(), int(lengths.sum())


def runs_of(path, shortest):
    """Digits of a framewise answer: runs of a class of at least so many steps, no blanks."""
    cuts = np.flatnonzero(np.diff(path)) + 1
    pieces = [part for part in np.split(path, cuts) if len(part) >= shortest]
    kept = np.concatenate([*pieces, [0]])[:-1].astype(int)
    # Two runs of a digit around a piece that was too short are one.
    new = np.diff(kept, prepend=0) != 0
    return kept[new & (kept > 0)].tolist()


def read(model, spoken, framewise=False):
    """What is heard in the strings: {"said", "greedy", "beam"}, lists of strings of digits.

    framewise: for a network that has learned so; there is no "beam" then.
    """
    found = log_probabilities(model, [steps(string.x) for string in spoken])
    if framewise:
        runs = [runs_of(p.argmax(1), SETTINGS["shortest"]) for p in found]
        return {"said": said(spoken), "greedy": [text(run) for run in runs]}
    return {
        "said": said(spoken),
        "greedy": [text(ctc_greedy(p).tokens) for p in found],
        "beam": [text(ctc_beam_search(p, SETTINGS["beam"])[0].tokens) for p in found],
    }
