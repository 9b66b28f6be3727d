"""Time a forward pass alone, as a model in use runs it: companion/data/benchmarks/serving.json.

    python -m benchmarks.serving [--seconds 2]

The LSTM in float32 on one thread, from first states of zeros: as in `benchmarks.__main__` the
rivals take turns, CPU time counts, and a ratio to `torch.nn.LSTM` is taken turn by turn. Keras
runs on TensorFlow here, on PyTorch in `benchmarks.optional`. Before its first turn every rival is
asserted to give the same outputs.
"""

import argparse
import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}  # before Keras loads

import jax
import jax.numpy as jnp
import keras
import numpy as np
import onnxruntime
import tensorflow as tf
import torch
from tqdm import tqdm

from benchmarks.clock import LIBRARIES, compare, save
from companion import CELLS, compiled, forward, init
from companion.weights import to_keras, to_onnx, to_torch

LSTM = CELLS["lstm"]
POINTS = [  # T, B, D, H: one step, one sequence, a batch; each with few and with more units
    (1, 1, 64, 64),
    (1, 1, 128, 256),
    (100, 1, 64, 64),
    (100, 1, 128, 256),
    (100, 32, 64, 64),
    (100, 32, 128, 256),
]


def torch_nn(params, xs):
    """`torch.nn.LSTM` without gradients."""
    layer = torch.nn.LSTM(xs.shape[2], params["weight_hh"].shape[1])
    layer.load_state_dict(to_torch(LSTM, params))
    xs = torch.from_numpy(xs)

    def step():
        with torch.inference_mode():
            return layer(xs)[0].numpy()

    return step


def plain_numpy(params, xs):
    """The package with NumPy alone."""
    return lambda: forward(LSTM, params, xs, keep_tape=False)[0]


def compiled_cell(params, xs):
    """The package with compiled loops."""
    cell = compiled(LSTM)
    return lambda: forward(cell, params, xs, keep_tape=False)[0]


def _keras(params, xs):
    layer = keras.layers.LSTM(params["weight_hh"].shape[1], return_sequences=True)
    layer.build((xs.shape[1], xs.shape[0], xs.shape[2]))
    layer.set_weights(to_keras(LSTM, params))
    # Keras has the batch first; the data are laid out so before the clock runs.
    return layer, tf.constant(np.ascontiguousarray(xs.swapaxes(0, 1)))


def keras_layer(params, xs):
    """`keras.layers.LSTM` on TensorFlow, called as it is."""
    layer, xs = _keras(params, xs)
    return lambda: layer(xs).numpy().swapaxes(0, 1)


def keras_function(params, xs):
    """The same layer within `tf.function`, which makes a graph of it once."""
    layer, xs = _keras(params, xs)
    graph = tf.function(layer, autograph=False)
    return lambda: graph(xs).numpy().swapaxes(0, 1)


def tensorflow_block(params, xs):
    """TensorFlow's operator `BlockLSTMV2` within `tf.function`."""
    T, B, _ = xs.shape
    H = params["weight_hh"].shape[1]
    kernel, recurrent, bias = to_keras(LSTM, params)
    w, none = np.concatenate([kernel, recurrent]), np.zeros(H, np.float32)
    zeros = np.zeros((B, H), np.float32)

    @tf.function(autograph=False)
    def graph(xs):
        return tf.raw_ops.BlockLSTMV2(
            seq_len_max=T,
            x=xs,
            cs_prev=zeros,
            h_prev=zeros,
            w=w,
            b=bias,
            wci=none,
            wcf=none,
            wco=none,
        ).h

    xs = tf.constant(xs)
    return lambda: graph(xs).numpy()


def jax_scan(params, xs):
    """`jax.lax.scan` over the step, compiled."""

    def step(state, x):
        h, c = state
        a = x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
        i, f, g, o = jnp.split(a, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    p = {name: jnp.asarray(array) for name, array in params.items()}
    zeros = jnp.zeros((xs.shape[1], params["weight_hh"].shape[1]))
    layer = jax.jit(lambda xs: jax.lax.scan(step, (zeros, zeros), xs)[1])
    xs = jnp.asarray(xs)
    return lambda: np.asarray(layer(xs))


def onnx_runtime(params, xs):
    """ONNX Runtime's operator LSTM, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = to_onnx(LSTM, params).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["ys"], {"xs": xs})[0]


RIVALS = (
    torch_nn,
    plain_numpy,
    compiled_cell,
    keras_layer,
    keras_function,
    tensorflow_block,
    jax_scan,
    onnx_runtime,
)


def forward_passes(sizes):
    """A forward pass of every rival, by its name, each asserted to give the same ys (T, B, H)."""
    T, B, D, H = sizes
    rng = np.random.default_rng(0)
    params = init(LSTM, D, H, rng, np.float32)
    xs = rng.standard_normal((T, B, D), np.float32)
    expected, _, _ = forward(LSTM, params, xs, keep_tape=False)
    steps = {rival.__name__: rival(params, xs) for rival in RIVALS}
    for rival, step in steps.items():
        # Values below 1 in float32, over at most 100 steps.
        if not np.allclose(step(), expected, rtol=0, atol=3e-6):
            raise RuntimeError(f"{rival} gives other outputs for {sizes}")
    return steps


def main():
    """Measure all points, store and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="for each rival at each point")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rows = [
        {"sizes": sizes, "rivals": compare(forward_passes(sizes), options.seconds)}
        for sizes in tqdm(POINTS, "points")
    ]
    libraries = [*LIBRARIES, "tensorflow", "tensorflow-cpu", "onnxruntime"]
    save("serving", {"points": rows}, libraries)
    for row in rows:
        print(*row["sizes"], sep=", ")
        for rival, found in row["rivals"].items():
            low, median, high = found["ratio"]
            print(f"  {rival:18}{found['ms']:10.3f} ms {median:8.2f} ({low:.2f}-{high:.2f})")


if __name__ == "__main__":
    main()
