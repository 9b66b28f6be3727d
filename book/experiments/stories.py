"""Answer questions about stories: a memory network against an LSTM that reads them word by word."""

import time
from functools import partial

import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from book.experiments.lab.runner import run
from companion.data import padded
from companion.data.card import sha256
from companion.models.memory_network import MemoryNetwork, Reader
from companion.tasks.stories import LONGEST, PLACES, WORDS, numbered, stories
from companion.train import Options, fit

METHODS = {
    "1 hop": {"hops": 1, "lr": 0.01},
    "2 hops": {"hops": 2, "lr": 0.01},
    "3 hops": {"hops": 3, "lr": 0.01},
    "lstm": {"H": 64, "lr": 0.01},
}
SETTINGS = {
    "seeds": 3,
    "facts": [1, 2, 3],
    "epochs": {"memory": {"1000": 100, "10000": 8}, "lstm": {"1000": 40, "10000": 8}},
    "linear start": "the first quarter of the epochs",
    "validation": "a tenth of the stories, by which the epoch is chosen",
    "tests": 1000,
    "D": 20,
    "B": 32,
    "schedule": "the rate falls linearly to 0 over all updates",
    "clip": 40.0,
    "methods": METHODS,
    "choice": {"lr": [0.003, 0.01, 0.03], "N": 1000, "facts": 2, "seed": 100},
    "torch": torch.__version__,
}


def drawn(facts, N, seed):
    """Training, validation and test stories of a seed; no test question occurs in training."""
    rng, tests = np.random.default_rng([seed, facts, N]), SETTINGS["tests"]
    told = stories(rng, N, facts)
    known = {repr(story[:2]) for story in told}
    test = [story for story in stories(rng, 3 * tests, facts) if repr(story[:2]) not in known]
    return {"train": told[: -N // 10], "validation": told[-N // 10 :], "test": test[:tests]}


def network(method, facts):
    """A fresh network."""
    if "hops" in method:
        return MemoryNetwork(len(WORDS), SETTINGS["D"], method["hops"], LONGEST[facts])
    return Reader(len(WORDS), SETTINGS["D"], method["H"])


def trained(model, lr, epochs, seed, told):
    """Train a network; returns its `History`, and leaves it as it was at the best epoch."""
    stream = padded(*numbered(told["train"]), SETTINGS["B"], seed, alike=20)
    updates = epochs * -(-len(told["train"]) // SETTINGS["B"])

    def batches(epoch):
        model.linear = epoch < epochs // 4
        return stream(epoch)

    options = Options(
        epochs=epochs,
        optimizer=partial(torch.optim.Adam, lr=lr),
        schedule=partial(LambdaLR, lr_lambda=lambda k: 1 - k / updates),
        clip=SETTINGS["clip"],
        batch_dim=(1, 0),
        seed=seed,
    )
    held = list(padded(*numbered(told["validation"]), 100)(0))
    return fit(model, F.cross_entropy, batches, options, validation=held)


@torch.no_grad()
def answers(model, told):
    """Which answers are right, bool (N,), and the batch of all stories."""
    batch, y = next(padded(*numbered(told), len(told))(0))
    return (model(batch).argmax(1) == y).numpy(), batch


def baselines(told):
    """Errors of the commonest answer, of the last place that is named, and of a bag of words."""
    train, test = told["train"], told["test"]
    right, y = ([story.answer for story in part] for part in (test, train))
    commonest = max(PLACES, key=y.count)
    last = [[w for w in sum(story.sentences, []) if w in PLACES][-1] for story in test]
    counts = CountVectorizer(analyzer=bag)
    x = counts.fit_transform(train)
    found, best = None, -1.0
    for C in (0.01, 0.1, 1.0):
        model = LogisticRegression(C=C, max_iter=2000).fit(x, y)
        held = told["validation"]
        score = model.score(counts.transform(held), [story.answer for story in held])
        if score > best:
            best, found = score, model.predict(counts.transform(test))
    guesses = {"commonest": [commonest] * len(test), "last place": last, "bag of words": found}
    return {name: wrong(np.array(guess) == right) for name, guess in guesses.items()}


def bag(story):
    """The words of a story, and those of its question as words of their own."""
    return [*sum(story.sentences, []), *(f"?{word}" for word in story.question)]


def wrong(right):
    """Share of errors."""
    return round(1 - float(np.mean(right)), 4)


@torch.no_grad()
def looks(model, told, batch):
    """Mean weight, hop by hop, on the facts that answer the question, first to last; and shown."""
    weights = model.look(batch)[1].double().numpy()
    facts = np.array([story.facts for story in told])
    on = weights[:, facts, np.arange(len(told))[:, None]].mean(1)
    shown = [
        {
            "story": [" ".join(words) for words in story.sentences],
            "question": " ".join(story.question),
            "answer": story.answer,
            "facts": story.facts,
            "weights": weights[:, : len(story.sentences), b].round(3).tolist(),
        }
        for b, story in enumerate(told[:3])
    ]
    return on.round(3).tolist(), shown


def outcome(job):
    """Train one network on the stories of a seed, or choose the rate on those of another."""
    torch.set_num_threads(1)
    told = drawn(job["facts"], job["N"], job["seed"])
    if job["method"] == "baselines":
        return {"error": baselines(told)}
    method, start = METHODS[job["method"]], time.process_time()
    torch.manual_seed(job["seed"])
    model = network(method, job["facts"])
    kind = "memory" if "hops" in method else "lstm"
    rate = job.get("lr", method["lr"])
    epochs = job.get("epochs", SETTINGS["epochs"][kind][str(job["N"])])
    history = trained(model, rate, epochs, job["seed"], told)
    found = {
        "validation": round(min(history.validation), 4),
        "best epoch": history.best,
        "seconds": round(time.process_time() - start, 1),
    }
    if "lr" in job:
        return found
    right, batch = answers(model, told["test"])
    found |= {
        "error": wrong(right),
        "train": wrong(answers(model, told["train"][:1000])[0]),
        "parameters": sum(value.numel() for value in model.parameters()),
        "checksum": sha256(repr(told).encode())[:16],
    }
    if "hops" in method:
        found["weight on facts"], shown = looks(model, told["test"], batch)
        if job["seed"] == 0:
            found["shown"] = shown
    return found


def jobs(seeds):
    """The choice of the rates; for each seed every method and number of facts, an LSTM longer."""
    choice = {key: SETTINGS["choice"][key] for key in ("facts", "N", "seed")}
    # With two facts no rate makes the LSTM better than a guess: its own is chosen with one.
    chosen = [
        {**choice, **case, "lr": lr}
        for case in ({"method": "3 hops"}, {"method": "lstm"}, {"method": "lstm", "facts": 1})
        for lr in SETTINGS["choice"]["lr"]
    ]
    rows = [(N, method) for N in (1000, 10_000) for method in ("3 hops", "lstm", "baselines")]
    rows += [(10_000, "1 hop"), (10_000, "2 hops")]
    runs = [
        {"facts": facts, "N": N, "method": method, "seed": seed}
        for seed in seeds
        for N, method in rows
        for facts in SETTINGS["facts"]
    ]
    # After 8 epochs the LSTM still gets better.
    longer = {"facts": 1, "N": 10_000, "method": "lstm", "epochs": 40}
    return chosen + runs + [{**longer, "seed": seed} for seed in seeds]


if __name__ == "__main__":
    run("stories", __doc__, SETTINGS, jobs, outcome)
