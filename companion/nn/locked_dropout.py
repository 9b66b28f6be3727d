"""Dropout whose mask stays the same over all steps of a sequence."""

import torch
from torch import nn
from torch.nn import functional as F

from companion.nn.batch_layout import Input, layout_of
from companion.nn.checks import check_options


class LockedDropout(nn.Module):
    """Dropout that leaves out the same units at every step, for before, between and after layers.

    p: probability with which a unit is zero over a whole sequence, drawn for every sequence once a
    call while training; the others are multiplied by 1 / (1 - p).
    batch_first: whether the input is (B, T, D), as of a layer.
    Raises ValueError naming the argument that does not fit, what it is and what is wanted.
    Source: Gal and Ghahramani (2016), section 4.1: x_t z_x with one mask z_x for all t. Their mask
    of h, too, is the same for all t; Merity, Keskar and Socher (2018) drop weights of h in its
    place, as `recurrent_dropout` of a layer does.
    """

    def __init__(self, p: float = 0.5, batch_first: bool = False) -> None:
        super().__init__()
        options = check_options({}, {"batch_first": batch_first}, {"p": p})
        self.p, self.batch_first = options["p"], options["batch_first"]

    def extra_repr(self) -> str:
        return f"p={self.p}" + (", batch_first=True" if self.batch_first else "")

    def forward(self, input: Input) -> Input:
        """While training, set some units to zero at all steps; else hand all on as they are.

        input: as of a layer, (T, B, D), (B, T, D) with batch_first, (T, D), or a PackedSequence.
        Returns new data, laid out like input.
        Raises ValueError for a tensor of other than 2 or 3 axes.
        """
        if isinstance(input, torch.Tensor) and input.dim() not in (2, 3):
            shape = tuple(input.shape)
            raise ValueError(f"input must have 2 or 3 axes, as of a layer, got shape {shape}")
        layout = layout_of(input, self.batch_first)
        data = layout.enter(input)
        ones = data.new_ones((layout.batch(data), data.shape[-1]))
        mask = F.dropout(ones, self.p, self.training)
        return layout.leave(
            layout.join([part * mask[: part.shape[1]] for part in layout.split(data)])
        )
