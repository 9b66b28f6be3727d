"""Where the time of a compiled training step goes, into companion/data/benchmarks/parts.json.

    python -m benchmarks.parts

At every point, for the LSTM: each matrix product that the step makes, alone; the two loops over
time with their products; and the whole step. What the loops take beyond their products is the
cell's own maths and its memory; what the step takes beyond all these is the engine around them.
"""

from dataclasses import replace

import numpy as np
from tqdm import tqdm

from benchmarks.clock import POINTS, save, time_of
from companion import CELLS, backward, compiled, forward, init

ROUNDS = 15


def products(params, xs, dys):
    """The matrix products of a step, by name: functions to time."""
    (T, B, D), H = xs.shape, dys.shape[2]
    flat = xs.reshape(T * B, D)
    hs, da = np.zeros((T * B, H), np.float32), np.zeros((T * B, 4 * H), np.float32)
    W, V = params["weight_ih"], params["weight_hh"]
    V_t = np.ascontiguousarray(V.T)

    def recurrence():
        for _ in range(T):
            hs[:B] @ V_t

    def recurrence_back():
        for _ in range(T):
            da[:B] @ V

    return {
        "input projection": lambda: flat @ W.T,
        "recurrence": recurrence,
        "recurrence, backward": recurrence_back,
        "weight gradients": lambda: (da.T @ flat, da.T @ hs),
        "input gradient": lambda: da @ W,
    }


def measure(sizes):
    """Median milliseconds of every part at one point."""
    T, B, D, H = sizes
    rng = np.random.default_rng(0)
    cell = compiled(CELLS["lstm"])
    params = init(cell, D, H, rng, np.float32)
    xs, dys = (rng.standard_normal((T, B, n), np.float32) for n in (D, H))
    inside = {"loop": 0.0, "loop, backward": 0.0}

    def watched(name, loop):
        def run(*arguments):
            inside[name] += time_of(lambda: loop(*arguments))

        return run

    forwards, backwards, *products_of = cell.loops(np.dtype(np.float32))
    loops = *map(watched, inside, (forwards, backwards)), *products_of
    seen = replace(cell, loops=lambda dtype: loops)

    def step():
        _, _, tape = forward(seen, params, xs)
        return backward(seen, params, tape, dys)

    steps = products(params, xs, dys) | {"step": step}
    for part in steps.values():
        part()
    times = {name: [] for name in [*steps, *inside]}
    for _ in range(ROUNDS):
        inside |= dict.fromkeys(inside, 0.0)
        for name, part in steps.items():
            times[name].append(time_of(part))
        for name, seconds in inside.items():
            times[name].append(seconds)
    return {name: round(1e3 * float(np.median(values)), 4) for name, values in times.items()}


def main():
    """Measure every point."""
    rows = [{"sizes": sizes, "ms": measure(sizes)} for sizes in tqdm(POINTS, "parts")]
    save("parts", {"points": rows})
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
