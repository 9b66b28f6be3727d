"""What does a recogniser hear in noisy sentences? Lists of its best guesses, to be rescored.

A bidirectional LSTM is trained with CTC on synthetic voices, and its lists are those of a prefix
beam search. It has been trained on the words of each sentence in random order, so that it knows
sounds and no grammar. The test sentences of seed 0 were looked at while the page was written;
every other seed is another recogniser with test sentences and noise of its own, to be read once
all is settled. No audio is stored.
"""

import string
from functools import partial

import jiwer
import numpy as np
import torch

from book.experiments.lab.runner import run
from companion.data import speak
from companion.data.voices import ACCENTS, VARIANTS
from companion.decode import ctc_beam_search
from companion.models import recogniser
from companion.sound import log_mel
from companion.tasks.homophones import WORDS, sentences
from companion.train import Options, fit

# Familiar accents, speakers never heard: no variant is in two parts.
VOICES = {
    part: [f"{accent}+{variant}" for variant in variants for accent in ACCENTS["train"]]
    for part, variants in VARIANTS.items()
}
LETTERS = string.ascii_letters + string.digits + "-_"  # one for each of the 64 words
SETTINGS = {
    "seeds": 2,
    "sentences": {"train": 1500, "valid": 150, "test": 300, "outside": 100},
    "voices": VOICES,
    "noise": [5, 15],
    "rate": 8000,
    "bands": 26,
    "joined": 4,
    "H": 96,
    "B": 32,
    "epochs": 8,
    "lr": 0.006,
    "clip": 5.0,
    "width": 64,
    "kept": 32,
    "sure": 0.999,
    "floor": -7.0,
    "steps": 100,
    "words": WORDS,
    "letters": LETTERS,
    "choice": "first guesses that learn on seed 100 and other noise; nothing was tuned",
    "torch": torch.__version__,
}


def material(seed):
    """Sentences of every part; of a seed above 0, of training and test, and none of seed 0's."""
    many, rng = SETTINGS["sentences"], np.random.default_rng(0)
    texts = sentences(rng, many["valid"] + many["test"] + many["outside"])
    ends = np.cumsum([many["valid"], many["test"]])
    parts = dict(zip(("valid", "test", "outside"), np.split(np.array(texts), ends), strict=True))
    parts["outside"] = [shuffled(rng, text) for text in parts["outside"]]
    if seed:
        parts = {"test": sentences(np.random.default_rng([5, seed]), many["test"], texts)}
        texts += parts["test"]
    rng = np.random.default_rng([1, seed])
    return {"train": sentences(rng, many["train"], texts), **parts}


def shuffled(rng, text):
    """The same words in random order."""
    return " ".join(rng.permutation(text.split()))


def recordings(texts, voices, rng):
    """Noisy features of each text, (T, D) each, spoken by the voices in turn."""
    found = []
    for k, text in enumerate(texts):
        wave = speak(str(text), voices[k % len(voices)], SETTINGS["rate"]).wave.astype(float)
        decibels = rng.uniform(*SETTINGS["noise"])
        noise = rng.normal(size=len(wave)) * wave.std() * 10 ** (-decibels / 20)
        x = log_mel(wave + noise, SETTINGS["rate"], SETTINGS["bands"])
        found.append(recogniser.joined((x - x.mean(0)) / 3, SETTINGS["joined"]))
    return found


def train(texts, seed):
    """A recogniser of these texts, in the voices for training."""
    rng = np.random.default_rng([2, seed])
    heard = recordings(texts, VOICES["train"], rng)
    classes = [[1 + WORDS.index(word) for word in text.split()] for text in texts]
    torch.manual_seed(seed)
    model = recogniser.Recogniser(heard[0].shape[1], 1 + len(WORDS), SETTINGS["H"])
    B, epochs = SETTINGS["B"], SETTINGS["epochs"]
    options = Options(
        epochs=epochs,
        optimizer=partial(torch.optim.Adam, lr=SETTINGS["lr"]),
        schedule=partial(
            torch.optim.lr_scheduler.OneCycleLR,
            max_lr=SETTINGS["lr"],
            total_steps=epochs * -(-len(texts) // B),
        ),
        clip=SETTINGS["clip"],
        batch_dim=(1, 0),
        seed=seed,
    )
    batches = recogniser.transcribed(heard, classes, B, seed)
    history = fit(model, recogniser.loss, batches, options)
    return model, [round(value, 2) for value in history.train]


def compact(log_p):
    """Log-probabilities (T, K) with fewer steps: neighbours that are surely blank become one."""
    blank = log_p[:, 0] > np.log(SETTINGS["sure"])
    kept = ~blank | ~np.append(False, blank[:-1])
    return np.round(log_p[kept], 2)


def best(log_p):
    """The best outputs, as words in letters, and their scores; unlikely classes are left out."""
    likely = np.union1d(0, np.flatnonzero(log_p.max(0) > SETTINGS["floor"]))
    found = ctc_beam_search(log_p[:, likely], SETTINGS["width"])[: SETTINGS["kept"]]
    heard = ["".join(LETTERS[likely[k] - 1] for k in one.tokens) for one in found]
    return heard, [round(one.score, 2) for one in found]


def errors(said, heard):
    """Words to change, insert or delete, by jiwer."""
    if not heard:
        return len(said)
    found = jiwer.process_words(" ".join(said), " ".join(heard))
    return found.substitutions + found.deletions + found.insertions


def sparse(log_p):
    """One step after another, its likely classes as letters, a blank as a space, and values."""
    steps = []
    for values in log_p:
        likely = np.flatnonzero(values > SETTINGS["floor"])
        steps.append(["".join((" " + LETTERS)[k] for k in likely), values[likely].tolist()])
    return steps


def outcome(job):
    """Lists for the sentences of every part; with seed 0 what the network says of some, too."""
    torch.set_num_threads(1)
    rng = np.random.default_rng([3, job["seed"]])
    parts = material(job["seed"])
    texts = parts.pop("train")
    texts = [shuffled(np.random.default_rng([4, k]), text) for k, text in enumerate(texts)]
    model, losses = train(texts, job["seed"])
    result = {"training": losses}
    for part, texts in parts.items():
        voices = VOICES["valid" if part == "valid" else "test"]
        heard = recordings(texts, voices, rng)
        log_probs = [compact(x) for x in recogniser.log_probabilities(model, heard)]
        said = ["".join(LETTERS[WORDS.index(word)] for word in text.split()) for text in texts]
        result[part] = []
        for one, log_p in zip(said, log_probs, strict=True):
            found, scores = best(log_p)
            wrong = [errors(one, other) for other in found]
            result[part].append({"said": one, "heard": found, "score": scores, "errors": wrong})
        if part == "test" and not job["seed"]:
            result["test steps"] = [sparse(x) for x in log_probs[: SETTINGS["steps"]]]
    return result


def jobs(seeds):
    """One recogniser a seed."""
    return [{"seed": seed} for seed in seeds]


if __name__ == "__main__":
    run("nbest", __doc__, SETTINGS, jobs, outcome)
