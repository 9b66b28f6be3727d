"""What programs read or call on torch.nn.LSTM beside its parameters: its names, for any layer."""

import warnings

import torch
from torch import nn

from companion.cells import Cell
from companion.nn.operators import NAMES


class NotQuantized(nn.Module):
    """A module that says so where PyTorch's quantization passes it by."""

    def _warn(self, qconfig):
        warnings.warn(
            f"{type(self).__name__} is not quantized and stays as it is: torch.ao.quantization "
            "converts modules of torch.nn alone. Load this state_dict into such a module, where "
            "there is one, or quantize the model in ONNX Runtime, see companion.nn.onnx_table",
            stacklevel=3,
        )

    # What torch.ao.quantization sets on every module of a model.
    qconfig = property(fset=_warn)


class TorchNames(NotQuantized):
    """The names of torch.nn.RNNBase that are no part of the call; see `companion.nn.Layer`."""

    cell: Cell
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    bidirectional: bool
    _key: str
    proj_size: int = 0  # also of layers that were saved before there were projections

    def _suffixes(self, layer):
        """Ends of the names of a layer's parameters, one for each direction."""
        return (f"_l{layer}", f"_l{layer}_reverse")[: 1 + self.bidirectional]

    @property
    def mode(self) -> str:
        """Kind of the layer, "LSTM", "GRU", "RNN_TANH" as in PyTorch, else the cell in capitals."""
        return {"rnn": "RNN_TANH"}.get(self.cell.name, self.cell.name.upper())

    @property
    def _names(self) -> tuple[str, ...]:
        """Names of the parameters of one layer and direction, without the suffix."""
        return NAMES[self._key] + (("weight_hr",) if self.proj_size else ())

    @property
    def _all_weights(self) -> list[list[str]]:
        names = [n for n in self._names if self.bias or not n.startswith("bias")]
        suffixes = [s for layer in range(self.num_layers) for s in self._suffixes(layer)]
        return [[name + suffix for name in names] for suffix in suffixes]

    @property
    def all_weights(self) -> list[list[torch.Tensor]]:
        """The parameters of every layer and direction, a list for each."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights(self) -> list[torch.Tensor]:
        return sum(self.all_weights, [])

    def flatten_parameters(self) -> None:
        """Nothing to do: parameters need not lie together."""

    def get_expected_hidden_size(
        self, input: torch.Tensor, batch_sizes: torch.Tensor | None
    ) -> tuple[int, int, int]:
        """Shape (layers · directions, B, H) of a first state's h, P for H with a projection.

        input: (T, B, D), (B, T, D) with batch_first, or the data of a `PackedSequence`, whose
        batch_sizes are given then.
        """
        layers, B, H = self.get_expected_cell_size(input, batch_sizes)
        return layers, B, self.proj_size or H

    def get_expected_cell_size(
        self, input: torch.Tensor, batch_sizes: torch.Tensor | None
    ) -> tuple[int, int, int]:
        """Shape (layers · directions, B, H) of what else is in a first state, such as c."""
        B = input.shape[0 if self.batch_first else 1] if batch_sizes is None else batch_sizes[0]
        return self.num_layers * (1 + self.bidirectional), int(B), self.hidden_size
