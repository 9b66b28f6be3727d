"""The rivals in packages that may be missing: each loads its package when it is called."""

import numpy as np
import torch

KERAS_LAYERS = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
KERAS_ORDERS = {"rnn": "h", "lstm": "ifgo", "gru": "zrn"}


def keras_layer(problem):
    """`keras.layers.LSTM`, or GRU or SimpleRNN, on Keras' torch backend."""
    if problem.name not in KERAS_LAYERS:
        return None
    import keras

    from companion import gate

    def columns(name):
        order = KERAS_ORDERS[problem.name]
        return np.concatenate([gate(problem.cell, problem.params[name], g) for g in order]).T

    T, B, D, H = problem.sizes
    layer = getattr(keras.layers, KERAS_LAYERS[problem.name])(H, return_sequences=True)
    layer.build((B, T, D))
    biases = np.stack([columns("bias_ih"), columns("bias_hh")])
    bias = biases if problem.name == "gru" else biases.sum(0)
    layer.set_weights([columns("weight_ih"), columns("weight_hh"), bias])
    # Keras has the batch first; the data are laid out so before the clock runs.
    batch_first = np.ascontiguousarray(problem.xs.swapaxes(0, 1))
    dys = torch.from_numpy(np.ascontiguousarray(problem.dys.swapaxes(0, 1)))

    def step():
        layer.zero_grad()
        xs = torch.tensor(batch_first, requires_grad=True)
        layer(xs).backward(dys)
        return xs.grad.swapaxes(0, 1)

    return step


def jax_scan(problem):
    """`jax.lax.scan` over one step of the cell, its forward and vjp compiled together."""
    import jax
    import jax.numpy as jnp

    def joint(p, h, x):
        return x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]

    def rnn(p, h, x):
        h = jnp.tanh(joint(p, h, x))
        return h, h

    def lstm(p, state, x):
        h, c = state
        i, f, g, o = jnp.split(joint(p, h, x), 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru(p, h, x):
        x_r, x_z, x_n = jnp.split(x @ p["weight_ih"].T + p["bias_ih"], 3, axis=1)
        h_r, h_z, h_n = jnp.split(h @ p["weight_hh"].T + p["bias_hh"], 3, axis=1)
        r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
        h = (1 - z) * jnp.tanh(x_n + r * h_n) + z * h
        return h, h

    cell = {"rnn": rnn, "lstm": lstm, "gru": gru}.get(problem.name)
    if cell is None:
        return None
    _, B, _, H = problem.sizes
    zeros = jnp.zeros((B, H))
    first = (zeros, zeros) if cell is lstm else zeros

    @jax.jit
    def train(params, xs, dys):
        def layer(params, xs):
            return jax.lax.scan(lambda state, x: cell(params, state, x), first, xs)[1]

        ys, pull = jax.vjp(layer, params, xs)
        return ys, pull(dys)

    params = jax.tree.map(jnp.asarray, problem.params)

    def step():
        _, (_, dxs) = jax.block_until_ready(train(params, problem.xs, problem.dys))
        return dxs

    return step
