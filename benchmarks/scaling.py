"""How time and memory grow with the number of steps, into companion/data/benchmarks/scaling.json.

    python -m benchmarks.scaling

The compiled LSTM in float32, one thread: a training step for T = 100 ... 100,000; checkpoints
against the full tape at T = 10,000; and T = 200,000 steps forward without a tape.
"""

import tracemalloc

import numpy as np
from tqdm import tqdm

from benchmarks.clock import save, time_of
from companion import CELLS, backward, compiled, forward, init
from companion.engine.checkpoint import backward_checkpointed, forward_checkpointed

CELL = compiled(CELLS["lstm"])
LENGTHS = [100, 300, 1000, 3000, 10_000, 30_000, 100_000]
ROUNDS = 5


def full(params, xs, dys):
    """A training step with the whole tape."""
    _, _, tape = forward(CELL, params, xs)
    return backward(CELL, params, tape, dys)


def checkpointed(params, xs, dys):
    """The same step with checkpoints."""
    _, _, kept = forward_checkpointed(CELL, params, xs)
    return backward_checkpointed(CELL, params, kept, dys)


def without_tape(params, xs, dys):
    """Forward alone."""
    return forward(CELL, params, xs, keep_tape=False)


def draw(T, B, D, H):
    rng = np.random.default_rng(0)
    params = init(CELL, D, H, rng, np.float32)
    xs, dys = (rng.standard_normal((T, B, n), np.float32) for n in (D, H))
    return params, xs, dys


def peak(step, data):
    """Bytes that a step has in use at its highest point, the given arrays not counted."""
    tracemalloc.start()
    step(*data)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest


def growth(sizes=(1, 64, 128)):
    """Milliseconds of a training step for every length, the least of some rounds."""
    problems = {T: draw(T, *sizes) for T in LENGTHS}
    times = {T: [] for T in LENGTHS}
    for _ in tqdm(range(ROUNDS), "lengths"):
        for T, data in problems.items():
            repeats = max(1, 10_000 // T)
            times[T].append(1e3 * time_of(lambda data=data: full(*data), repeats))
    return {"sizes": sizes, "T": LENGTHS, "ms": [round(min(t), 4) for t in times.values()]}


def checkpoints(sizes=(10_000, 16, 64, 128)):
    """CPU time and memory of checkpoints, as a share of the full tape's."""
    data = draw(*sizes)
    ratios = []
    for _ in tqdm(range(ROUNDS), "checkpoints"):
        base = time_of(lambda: full(*data))
        ratios.append(time_of(lambda: checkpointed(*data)) / base)
    ys, xs = data[2].nbytes, data[1].nbytes
    # In either case there are ys and its derivative's dxs, and the copy of xs that is kept.
    shared = ys + 2 * xs
    memory = [peak(step, data) - shared for step in (checkpointed, full)]
    return {
        "sizes": sizes,
        "time": [round(float(q), 3) for q in np.quantile(ratios, (0.25, 0.5, 0.75))],
        "memory": round(memory[0] / memory[1], 3),
        "megabytes": [round(m / 1e6, 1) for m in memory],
    }


def forward_alone(sizes=(200_000, 4, 8, 32)):
    """Memory of a long forward pass, beside its inputs and outputs."""
    data = draw(*sizes)
    return {
        "sizes": sizes,
        "megabytes": round((peak(without_tape, data) - data[2].nbytes) / 1e6, 1),
        "outputs": round(data[2].nbytes / 1e6, 1),
    }


def main():
    """Measure all three."""
    result = {
        "growth": growth(),
        "checkpoints": checkpoints(),
        "forward_alone": forward_alone(),
    }
    save("scaling", result)
    print(result)


if __name__ == "__main__":
    main()
