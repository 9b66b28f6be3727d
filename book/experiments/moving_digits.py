"""Continue a film of two moving digits: a convolutional LSTM against fully connected ones."""

import time
from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.optim.lr_scheduler import LambdaLR

from book.experiments.lab.runner import run
from companion.data.card import sha256
from companion.models.conv_lstm import convolutional, fully_connected, loss
from companion.tasks.moving_digits import moving_digits
from companion.train import Options, fit

IMAGES = load_digits().images / 16
METHODS = {
    "conv": {"H": 16, "lr": 0.04},
    "same size": {"H": 10, "lr": 0.02},
    "large": {"H": 128, "lr": 0.01},
}
SETTINGS = {
    "seeds": 5,
    "size": 16,
    "seen": 4,
    "ahead": 4,
    "kernel": 3,
    "N": {"train": 300, "validation": 100, "test": 1000, "larger": 200},
    "B": 16,
    "updates": 1200,
    "schedule": "the rate falls linearly to 0 over all updates; of every 50, the best validated",
    "clip": 100.0,
    "digits": {"train": [0, 1200], "validation": [1200, 1500], "test": [1500, 1797]},
    "methods": METHODS,
    "choice": {"lr": [0.005, 0.01, 0.02, 0.04, 0.08], "updates": 300, "seed": 100},
    "linear": {"N": [300, 1000, 5000], "strength": [10.0, 30.0, 100.0, 300.0]},
    "checksum": sha256(IMAGES.astype(np.float32).tobytes()),
    "torch": torch.__version__,
}


def films(part, rng, B, size=None):
    """What is seen, and what is to come, of B films of one part of the digits."""
    start, stop = SETTINGS["digits"][part]
    T, size = SETTINGS["seen"] + SETTINGS["ahead"], size or SETTINGS["size"]
    frames = moving_digits(rng, B, IMAGES[start:stop], T, size)
    return torch.from_numpy(frames).split([SETTINGS["seen"], SETTINGS["ahead"]])


def network(method):
    """A fresh network."""
    H = METHODS[method]["H"]
    if method == "conv":
        return convolutional(H, SETTINGS["kernel"], SETTINGS["ahead"])
    return fully_connected(H, SETTINGS["size"], SETTINGS["ahead"])


def trained(method, lr, updates, seed):
    """A network trained on the films of a seed, and its lowest cross-entropy in validation."""
    torch.manual_seed(seed)
    N, rng, every = SETTINGS["N"], np.random.default_rng(seed), 50
    model, (seen, coming) = network(method), films("train", rng, N["train"])
    held, after = films("validation", rng, N["validation"])

    def batches(epoch):
        rng = np.random.default_rng([seed, epoch])
        for _ in range(every):
            k = torch.from_numpy(rng.integers(N["train"], size=SETTINGS["B"]))
            yield seen[:, k], torch.cat([seen, coming])[1:, k]

    options = Options(
        epochs=updates // every,
        optimizer=partial(torch.optim.Adam, lr=lr),
        schedule=partial(LambdaLR, lr_lambda=lambda k: 1 - k / updates),
        clip=SETTINGS["clip"],
        seed=seed,
    )
    validation = [(held, torch.cat([held, after])[1:])]
    return model, min(fit(model, loss, batches, options, validation=validation).validation)


@torch.no_grad()
def errors(model, seen, coming):
    """Mean squared error per pixel, one number a step ahead, and cross-entropy of a frame."""
    parts = [model(part) for part in seen.split(100, 1)]
    logits = torch.cat(parts, 1)[-SETTINGS["ahead"] :]
    total, count = loss(logits, coming)
    squares = (torch.sigmoid(logits) - coming).square().mean((1, 2, 3))
    return squares.double().numpy(), float(total) / count


def rounded(numbers, digits=5):
    """Numbers for the file."""
    return np.round(np.asarray(numbers, float), digits).tolist()


def baselines(seen, coming):
    """Errors of the last frame, and of a linear model of all frames seen, by its training films."""
    last = (seen[-1:] - coming).square().mean((1, 2, 3))
    found = {"last frame": rounded(last)}
    held = rows(*films("validation", np.random.default_rng(98), 1000))
    for N in SETTINGS["linear"]["N"]:
        x, y = rows(*films("train", np.random.default_rng(99), N))
        mx, my, best = x.mean(0), y.mean(0), np.inf
        for strength in SETTINGS["linear"]["strength"]:
            square = (x - mx).T @ (x - mx) + strength * np.eye(x.shape[1])
            weights = np.linalg.solve(square, (x - mx).T @ (y - my))
            error = np.square((held[0] - mx) @ weights + my - held[1]).mean()
            if error < best:
                u, w = rows(seen, coming)
                squares = np.square((u - mx) @ weights + my - w)
                best, steps = error, squares.reshape(len(u), len(coming), -1).mean((0, 2))
        found[f"linear, {N} films"] = rounded(steps)
    return found


def rows(*parts):
    """Films (T, B, size, size) as B rows of numbers in double precision, part by part."""
    return [part.transpose(0, 1).flatten(1).double().numpy() for part in parts]


def outcome(job):
    """Train one network, or choose the rate on digits and a seed that the result does not use."""
    torch.set_num_threads(1)
    tests = films("test", np.random.default_rng(1), SETTINGS["N"]["test"])
    if job["method"] == "baselines":
        film = torch.cat(tests)[:, 0]
        return {"errors": baselines(*tests), "film": (255 * film).round().int().tolist()}
    method, start = METHODS[job["method"]], time.process_time()
    updates = SETTINGS["choice"]["updates"] if "lr" in job else SETTINGS["updates"]
    model, lowest = trained(job["method"], job.get("lr", method["lr"]), updates, job["seed"])
    seconds = round(time.process_time() - start, 1)
    if "lr" in job:
        return {"validation": round(lowest, 2), "seconds": seconds}
    squares, entropy = errors(model, *tests)
    with torch.no_grad():
        shown = torch.sigmoid(model(tests[0][:, :1]))[-SETTINGS["ahead"] :, 0]
    found = {
        "errors": rounded(squares),
        "entropy": round(entropy, 2),
        "validation": round(lowest, 2),
        "parameters": sum(value.numel() for value in model.parameters()),
        "seconds": seconds,
    }
    if job["seed"] == 0:
        found["shown"] = (255 * shown).round().int().tolist()
    if job["method"] == "conv":
        found["larger"] = larger(model)
    return found


def larger(model, size=32):
    """Errors of the same weights on frames of four times the area, and of their last frames."""
    seen, coming = films("test", np.random.default_rng(3), SETTINGS["N"]["larger"], size)
    last = (seen[-1:] - coming).square().mean((1, 2, 3))
    return {"errors": rounded(errors(model, seen, coming)[0]), "last frame": rounded(last)}


def jobs(seeds):
    """The choice of the rates, the baselines, and every method with every seed."""
    choice = [
        {"method": method, "lr": lr, "seed": SETTINGS["choice"]["seed"]}
        for method in METHODS
        for lr in SETTINGS["choice"]["lr"]
    ]
    runs = [{"method": method, "seed": seed} for seed in seeds for method in METHODS]
    return [*choice, {"method": "baselines"}, *runs]


if __name__ == "__main__":
    run("moving_digits", __doc__, SETTINGS, jobs, outcome)
