"""Train and test on the continual embedded Reber grammar: a stream that is never reset."""

import time

import numpy as np

from book.experiments.lab.training import Network
from companion.tasks import Batch, continual_reber, continual_reber_correct, steps_until_error


def train_on_stream(settings, seed, test=100_000, chunk=50):
    """Learn from streams of 20 chunks, the state carried on from chunk to chunk; test.

    settings.budget counts symbols. The learning rate falls linearly to 0. The test: 10 new
    streams of `test` symbols, each until its first wrong prediction.
    Returns a dict: steps, the correct predictions of each test stream; grade, "perfect" if that
    is all of them, "good" if more than 1000 on average, else "bad" (Gers, Schmidhuber and Cummins
    2000); state, the mean |c| after 100, 1000 … test symbols; parameters; seconds of CPU.
    """
    start = time.process_time()
    weights, data, new = (np.random.default_rng([seed, k]) for k in range(3))
    net = Network(settings, 7, 7, weights)
    total = settings.budget // (settings.B * chunk)
    state, stream, at = None, None, 0
    for update in range(total):
        if stream is None or at == len(stream.xs):
            stream, at, state = continual_reber(data, settings.B, 20 * chunk), 0, None
        part = Batch(*(array[at : at + chunk] for array in stream))
        _, state = net.learn(part, state, settings.lr * (1 - update / total))
        at += chunk
    steps, growth = until_error(net, continual_reber(new, 10, test))
    grade = "perfect" if min(steps) == test else "good" if np.mean(steps) > 1000 else "bad"
    return {
        "grade": grade,
        "steps": steps,
        "state": growth,
        "parameters": len(net.vector),
        "seconds": round(time.process_time() - start, 1),
    }


def until_error(net, stream, chunk=1000):
    """Correct predictions of each stream before its first wrong one, and how the state grows.

    Stops once all streams have gone wrong and 10,000 symbols were read.
    """
    T, B = stream.mask.shape
    outputs, state, growth = np.empty(stream.targets.shape, np.float32), None, {}
    for at in range(0, T, chunk):
        outputs[at : at + chunk], state = net.outputs(stream.xs[at : at + chunk], state)
        if at + chunk in (1000, 10_000, 100_000):
            growth[at + chunk] = round(float(np.mean(np.abs(state[-1]))), 3)
            read = Batch(*(array[: at + chunk] for array in stream))
            correct = continual_reber_correct(outputs[: at + chunk], read)
            if not correct.all(0).any() and at + chunk >= 10_000:
                break
    return steps_until_error(correct).tolist(), growth
