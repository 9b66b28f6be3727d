"""Two LSTMs whose steps are more than elementwise maths: zoneout and layer normalisation.

They have all that a `Layer` has but a projection. They run step by step in torch operations, and
autograd goes back, which is slower; `torch.compile` and `torch.export` unroll them for one T.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from companion.cells import CELLS
from companion.nn import torch_loops
from companion.nn.checks import check_options
from companion.nn.layers import LSTM


class Stepwise(LSTM):
    """An LSTM whose call, too, runs `_trace`, which a subclass writes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.proj_size:
            kind = type(self).__name__
            raise ValueError(f"proj_size must be 0 for {kind}, got {self.proj_size!r}")

    def _unroll(self, params, xs, state):
        values, last = self._trace(params, xs, state)
        return values[:1], last


class ZoneoutLSTM(Stepwise):
    """LSTM some of whose units stay as they were, at random (Krueger et al. 2017). See `Layer`.

    zoneout_h, zoneout_c: probabilities with which at one step a unit's h, or its c, stays as it
    was while training. In evaluation mode every unit gets zoneout · old + (1 - zoneout) · new.
    The other arguments are those of `LSTM`; proj_size must be 0. It runs step by step in torch
    operations; `torch.compile` and `torch.export` unroll it for one T.
    Source: Krueger et al. (2017), section 3.2, the equations for an LSTM:
    c_t = d_c c_{t-1} + (1 - d_c)(f c_{t-1} + i g) and
    h_t = d_h h_{t-1} + (1 - d_h) o tanh(f c_{t-1} + i g). Each number of d_c and d_h is 0 or 1; the
    two are drawn independently, here always, in the paper usually. Section 1 has their expectation
    at test time.
    """

    # A name of its own: for whoever looks at `mode`, or takes the weights, it is no LSTM.
    cell = replace(CELLS["lstm"], name="zoneout_lstm")

    def __init__(
        self, *arguments: Any, zoneout_h: float = 0.0, zoneout_c: float = 0.0, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        check_options({}, {}, dict(zoneout_h=zoneout_h, zoneout_c=zoneout_c))
        self.zoneout_h, self.zoneout_c = zoneout_h, zoneout_c

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, zoneout_h={self.zoneout_h}, zoneout_c={self.zoneout_c}"

    def _trace(self, params, xs, state):
        _, last, states, kept = torch_loops.forward(self.cell, params, xs, state, self._settle)
        return (*(s[1:] for s in states), *kept), last

    def _settle(self, old, new):
        """Old values where the units stay, else new ones."""
        return tuple(
            torch.lerp(b, a, torch.empty_like(a).bernoulli_(p) if self.training else p)
            for a, b, p in zip(old, new, (self.zoneout_h, self.zoneout_c), strict=True)
        )


class LayerNormLSTM(Stepwise):
    """LSTM with layer normalisation (Ba, Kiros and Hinton 2016). See `Layer`.

    Three things are normalised: what comes from x, and what comes from h, each over all 4H
    pre-activations together, and c before its tanh. Parameters beside those of `LSTM` are gain_ih
    and gain_hh (4H,), gain_c (H,), which start at 1, and shift_c (H,), which starts at 0. The paper
    has a bias b and two shifts of the pre-activations, too; only their sum counts, and here that
    is bias_ih + bias_hh, as in every LSTM.
    The arguments are those of `LSTM`; proj_size must be 0. It runs step by step in torch
    operations; `torch.compile` and `torch.export` unroll it for one T. To each variance
    F.layer_norm adds 1e-5, as the authors' code does and the paper does not.
    Source: Ba, Kiros and Hinton (2016), supplementary material, equations 20 to 22:
    a = LN(W_h h) + LN(W_x x) + b and h = o tanh(LN(c)).
    """

    cell = replace(CELLS["lstm"], name="layer_norm_lstm")

    def _shapes(self, D):
        rows, H = len(self.cell.gates) * self.hidden_size, self.hidden_size
        own = {"gain_ih": (rows,), "gain_hh": (rows,), "gain_c": (H,), "shift_c": (H,)}
        return super()._shapes(D) | own

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self._shapes(1))

    def reset_parameters(self) -> None:
        """As of `Layer`, and gains of 1, shifts of 0."""
        super().reset_parameters()
        for name, parameter in self.named_parameters():
            if name.startswith("gain"):
                nn.init.ones_(parameter)
            if name.startswith("shift"):
                nn.init.zeros_(parameter)

    def _trace(self, params, xs, state):
        dtype, wide = xs.dtype, torch.promote_types(xs.dtype, torch.float32)
        H = params["weight_hh"].shape[1]

        def normal(value, gain):
            return F.layer_norm(value.to(wide), value.shape[-1:], params[gain].to(wide))

        a_x = normal(F.linear(xs, params["weight_ih"]), "gain_ih")
        a_x = a_x + params["bias_ih"] + params["bias_hh"]
        h, c = (s.to(wide) for s in state)
        steps = []
        for a in a_x.unbind():
            a = a + normal(F.linear(h.to(dtype), params["weight_hh"]), "gain_hh")
            ai, af, ag, ao = a.split(H, 1)
            i, f, g, o = ai.sigmoid(), af.sigmoid(), ag.tanh(), ao.sigmoid()
            c = f * c + i * g
            tanh_c = (normal(c, "gain_c") + params["shift_c"]).tanh()
            h = o * tanh_c
            steps.append((h, c, i, f, g, o, tanh_c))
        last = tuple(s.to(dtype, copy=True) for s in (h, c))
        return torch_loops.stacked(steps, 7, c).unbind(), last
