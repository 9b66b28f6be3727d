"""A sequence on a GPU as one CUDA graph: recorded once for each shape, then launched as a whole.

The loop over steps sends the GPU some ten small kernels a step, and from Python that takes most of
the time (`benchmarks/gpu.py`). A graph sends all of them at once.
"""

from collections import OrderedDict
from threading import Lock

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

# A graph holds memory: up to about 30 values for every number of a state. This many numbers, which
# may be 2 GB in float32, is what all graphs together may have; no graph counts for less than 1/64.
LIMIT = 1 << 24

# The numbers and, from its second time on, the graph of what was met, least recently first; False
# where there was no memory for one. What comes again only after so much else that the limit has
# put it out never gets a graph, and so none is made in vain.
_met: OrderedDict[tuple, tuple[int, "_Graph | bool | None"]] = OrderedDict()
_lock = Lock()


class _Graph:
    """A function of tensors as a graph that has its own copies of what goes in and out."""

    def __init__(self, function, inputs):
        # What is made under inference mode could not be written to outside it.
        with torch.inference_mode(False), torch.no_grad():
            self.inputs = [value.detach().clone() for value in inputs]
            here, side = torch.cuda.current_stream(), torch.cuda.Stream()
            side.wait_stream(here)
            with torch.cuda.stream(side):
                function(*self.inputs)  # libraries set themselves up outside the recording
            here.wait_stream(side)
            self.graph = torch.cuda.CUDAGraph()
            # Other threads, such as one that loads data, may go on using the GPU.
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.outputs = function(*self.inputs)

    def __call__(self, inputs):
        torch._foreach_copy_(self.inputs, [value.detach() for value in inputs])
        self.graph.replay()
        return [value.clone() for value in self.outputs]


def graphed(function, numbers, *arguments):
    """`function(*arguments)`, as a graph where tensors are on a GPU and their shapes come again.

    numbers: how many a state has, over all steps. arguments: tensors, on one device, lists of them,
    and numbers and texts; function depends on nothing else and returns a list of tensors.
    A shape's first time takes no graph, so that lengths that come once cost nothing; nor does a
    recording of the caller's own.
    """
    leaves, tree = tree_flatten(arguments)
    inputs = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    device = inputs[0].device
    if device.type != "cuda" or not 0 < numbers <= LIMIT:
        return function(*arguments)

    def run(*tensors):
        values = iter(tensors)
        given = [next(values) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        return function(*tree_unflatten(given, tree))

    key = function, str(tree), tuple(map(_what, leaves)), _precision()
    with torch.cuda.device(device), _lock:
        if not torch.cuda.is_current_stream_capturing():
            # On one stream a run follows another; on two they would share a graph's memory.
            graph = _graph((*key, torch.cuda.current_stream()), numbers, run, inputs)
            if graph:
                return graph(inputs)
    return function(*arguments)


def _graph(key, numbers, run, inputs):
    """The graph of this key, which is made the second time; None or False if there is none."""
    if key not in _met:
        _met[key] = max(numbers, LIMIT // 64), None
        while sum(count for count, _ in _met.values()) > LIMIT:
            _met.popitem(last=False)
        return None
    count, graph = _met.pop(key)
    if graph is None:
        try:
            graph = _Graph(run, inputs)
        except torch.cuda.OutOfMemoryError:
            graph = False
    _met[key] = count, graph
    return graph


def _what(leaf):
    """What a graph depends on: shape and type of a tensor, the value of anything else."""
    return (leaf.shape, leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf


def _precision():
    """How products in float32 are rounded, which a graph holds as it was when it was recorded."""
    matmul = torch.backends.cuda.matmul
    new = getattr(matmul, "fp32_precision", None)  # from PyTorch 2.9 on
    return new if new is not None else torch.get_float32_matmul_precision()
