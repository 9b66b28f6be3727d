"""A plain recurrent network unrolled over three steps, and the way back of a derivative."""

from canvas import INK, Canvas, tint

from companion.plots.style import COLORS

HIDDEN, DASH = COLORS["h"], "12 6"
X = {0: 74, 1: 236, 2: 416, 3: 596}  # middles of the states
HALF, MIDDLE = 44, 190  # half a box; the height of the states' middles
AHEAD, BACK = MIDDLE - 18, MIDDLE + 18  # the wire forwards and the one backwards


def states(c):
    """h_0 to h_3 in a row, the input below each step, the same weights at each."""
    for t, x in X.items():
        dash = None if t else "7 6"
        c.box(x - HALF, MIDDLE - HALF, 2 * HALF, 2 * HALF, HIDDEN, tint(HIDDEN, 0.14), 16, 3, dash)
        c.text(x, MIDDLE, f"$h_{t}$", 34)
        if not t:
            continue
        c.wire([(X[t - 1] + HALF, AHEAD), (x - HALF, AHEAD)], HIDDEN, 5)
        c.text((X[t - 1] + x) / 2, AHEAD - 26, "$U$", 28)
        c.wire([(x, 336), (x, MIDDLE + HALF)], HIDDEN, 5)
        c.text(x + 16, 286, "$V$", 28, anchor="start")
        c.text(x, 360, f"$x_{t}$", 32)


def rnn_unrolled():
    """Three steps with an output each; dashed, the derivatives on their way back."""
    c = Canvas(700, 392, "A recurrent network over three steps")
    states(c)
    for t, x in X.items():
        if not t:
            continue
        c.wire([(x - 16, MIDDLE - HALF), (x - 16, 66)], HIDDEN, 5)
        c.wire([(x + 16, 66), (x + 16, MIDDLE - HALF)], INK, 4, dash=DASH)
        c.text(x, 40, f"$y_{t}$", 32)
        c.text(x + 32, 106, rf"$\mathrm{{d}}y_{t}$", 26, anchor="start")
        c.wire([(x - HALF, BACK), (X[t - 1] + HALF, BACK)], INK, 4, dash=DASH)
    return c


def rnn_jacobians():
    """The same without outputs: the derivative of h_3 by h_0, one factor a step."""
    c = Canvas(700, 392, "The derivative across three steps is a product of three factors")
    states(c)
    for t in (3, 2, 1):
        low = (X[t], X[t - 1])
        c.wire(
            [
                (low[0] - 14, MIDDLE - HALF),
                (low[0] - 14, 92),
                (low[1] + 14, 92),
                (low[1] + 14, MIDDLE - HALF),
            ],
            INK,
            4,
            dash=DASH,
        )
        c.text(sum(low) / 2, 58, rf"$J_{t}$", 34)
    return c
