"""The recurrent layers of a Keras model, if they are a stack, each on top of the one before."""

from typing import Any

RECURRENT = {"Bidirectional", "RNN", "CuDNNLSTM", "CuDNNGRU"}
# What may be between two of them: layers that change nothing once the model is trained.
NOTHING = {
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "InputLayer",
    "SpatialDropout1D",
}


def stack(model: Any) -> list[Any]:
    """The recurrent layers of a model, from the lowest to the uppermost; or the layer itself.

    Raises ValueError if they are no stack, or if that cannot be known, as of a model whose own
    code calls several.
    """
    if _way_of(model) == "own" and hasattr(model, "layers") and len(_recurrent(model)) == 1:
        return [found for layer in model.layers for found in stack(layer)]
    parts = _parts(model)
    places = [k for k, part in enumerate(parts) if _is_recurrent(part)]
    if not places:
        return []
    found = [parts[k] for k in places]
    for part in parts[places[0] : places[-1]]:
        if not (_is_recurrent(part) or type(part).__name__ in NOTHING):
            raise _no_stack(f"{part.name} between recurrent layers")
    for k, layer in enumerate(found):
        if layer in found[:k]:
            raise _no_stack(f"{layer.name} in two places")
    return found


def kinds(layer: Any) -> list[str]:
    """Names of the layer's class and of those that it is made from, nearest first."""
    return [kind.__name__ for kind in type(layer).__mro__]


def _no_stack(got):
    return ValueError(
        f"weights must be of recurrent layers on top of each other, got {got}: "
        "give one recurrent layer"
    )


def _is_recurrent(layer):
    return not RECURRENT.isdisjoint(kinds(layer))


def _recurrent(layer):
    """The recurrent layers in a layer, at any depth, or the layer itself."""
    if _is_recurrent(layer):
        return [layer]
    if not hasattr(layer, "_flatten_layers"):  # an operation that is no layer
        return []
    inner = layer._flatten_layers(include_self=False, recursive=False)
    return [found for one in inner for found in _recurrent(one)]


def _way_of(model):
    """By which class's rule a model calls its layers; "own" if by one that Keras has not."""
    name = next((k.__name__ for k in type(model).__mro__ if "call" in vars(k)), "")
    return name if name in ("Sequential", "Functional") else "own"


def _parts(layer):
    """A model as a list of layers that hold no other, in the order in which they are called.

    In a graph those that are beside the way from one recurrent layer to another are left out.
    """
    if _is_recurrent(layer):
        return [layer]
    way = _way_of(layer)
    if way == "Sequential":
        inner = layer.layers
    elif way == "Functional":
        inner = _along_the_graph(layer)
    elif _recurrent(layer):
        raise _no_stack(f"{layer.name}, which calls recurrent layers in its own way")
    else:
        return [layer]
    return [part for one in inner for part in _parts(one)]


def _along_the_graph(model):
    """The layers of a functional model in order; between recurrent ones those of the way alone."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in model._nodes_by_depth[depth]]
    places = [k for k, node in enumerate(nodes) if _recurrent(node.operation)]
    if not places:
        return [node.operation for node in nodes]
    first, last = places[0], places[-1]
    way = [nodes[last]]
    for place in reversed(places[:-1]):
        upper = way[0]
        while way[0] is not nodes[place]:
            if (below := _below(way[0])) is None:
                names = upper.operation.name, nodes[place].operation.name
                raise _no_stack("{}, which does not read {} alone".format(*names))
            way.insert(0, below)
    return [node.operation for node in (*nodes[:first], *way, *nodes[last + 1 :])]


def _below(node):
    """The node whose output is all that a node reads; None if there is none."""
    if len(node.input_tensors) != 1:
        return None
    layer, index, output = node.input_tensors[0]._keras_history
    below = layer._inbound_nodes[index]
    # A recurrent layer may give its last state, too, after what the next layer reads.
    alone = len(below.outputs) == 1 or (_is_recurrent(layer) and not output)
    return below if alone else None
