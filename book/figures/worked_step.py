"""One step of LSTM with all its numbers: the worked example of the chapter on the formulas."""

import numpy as np
from canvas import GREY, INK, Canvas, tint

from companion.activations import sigmoid, tanh
from companion.plots.style import COLORS

X, H_PREV, C_PREV = [1.0, 2.0], [0.5, -0.5], [2.0, -1.0]
WEIGHTS = {  # the columns are those of h_{t-1}, then those of x_t
    "i": ([[1.0, 2.0, 1.5, -0.5], [0.4, -0.4, 0.2, 0.3]], [0.0, 1.0]),
    "f": ([[1.0, -1.0, 0.6, -0.2], [2.0, 0.0, -3.0, -0.2]], [1.0, 1.0]),
    "g": ([[0.4, 0.2, 0.3, 0.1], [-0.2, 0.6, -0.5, 0.4]], [0.1, -0.2]),
    "o": ([[0.2, 0.6, 0.5, -0.1], [-0.4, 0.2, 0.3, 0.5]], [0.1, -0.2]),
}
BLOCKS = {"f": (150, "forget"), "i": (272, "input"), "g": (394, "candidate"), "o": (514, "output")}
LANE, MIX, OUT, BLOCK, BAR, SUM, TURN = 130, 232, 262, 325, 465, 333, 590


def worked_step():
    """The cell with two units, and beside every wire the two numbers that run through it."""
    joined = np.array(H_PREV + X)
    a = {name: np.array(W) @ joined + b for name, (W, b) in WEIGHTS.items()}
    i, f, g, o = sigmoid(a["i"]), sigmoid(a["f"]), tanh(a["g"]), sigmoid(a["o"])
    c = f * C_PREV + i * g
    cell, hidden = COLORS["c"], COLORS["h"]

    p = Canvas(700, 600, "One step of an LSTM with two units, in numbers")
    p.box(82, 36, 548, 482, color="#c3c9d1", fill="#f7f8fa", radius=26, width=2.5)

    def column(x, y, values, color, anchor, digits=2):
        for k, value in enumerate(values):
            number = f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
            p.text(x, y + 27 * k, number, 21, color, anchor)

    # The cell state runs along the top.
    p.wire([(6, LANE), (BLOCKS["f"][0] - 17, LANE)], cell, 7)
    p.wire([(BLOCKS["f"][0], LANE), (SUM - 17, LANE)], cell, 7)
    p.wire([(SUM, LANE), (694, LANE)], cell, 7)
    p.text(42, 40, "$C_{t-1}$", 28, cell)
    column(62, 76, C_PREV, cell, "end", 0)
    column(266, 76, f * C_PREV, INK, "end")
    column(490, 76, c, cell, "end")
    p.text(664, 98, "$C_t$", 28, cell)

    # The joined input feeds four blocks.
    p.wire([(6, BAR), (108, BAR)], hidden, 5)
    p.text(42, 378, "$h_{t-1}$", 28, hidden)
    column(62, 412, H_PREV, hidden, "end", 1)
    p.wire([(SUM, 578), (SUM, BAR + 26)], INK, 5)
    p.text(SUM - 18, 549, "$x_t$", 28, INK, "end")
    column(SUM + 40, 536, X, INK, "end", 0)
    for letter, (x, name) in BLOCKS.items():
        color = COLORS[letter]
        p.wire([(x, BAR - 24), (x, BLOCK + 94)], GREY, 3.5)
        p.box(x - 56, BLOCK, 112, 94, color, tint(color, 0.14), 12, 3.5)
        p.text(x, BLOCK + 18, name, 19.5)
        squash = r"\tanh" if letter == "g" else r"\sigma"
        for k, value in enumerate(a[letter]):
            p.text(x, BLOCK + 45 + 28 * k, f"${squash}({value + 0.0:.1f})$", 21)
    p.box(88, BAR - 24, 482, 48, INK, "#ffffff", 24, 3)
    p.text(SUM, BAR, r"$[\,h_{t-1},\,x_t\,]$", 27)

    # Gates: f keeps, i lets the candidate in, o lets the state out.
    p.wire([(150, BLOCK), (150, LANE + 17)], COLORS["f"])
    column(140, 215, f, COLORS["f"], "end")
    p.wire([(272, BLOCK), (272, MIX), (SUM - 17, MIX)], COLORS["i"])
    column(262, 266, i, COLORS["i"], "end")
    p.wire([(394, BLOCK), (394, MIX), (SUM + 17, MIX)], COLORS["g"])
    column(466, 266, g, COLORS["g"], "end")
    p.wire([(SUM, MIX - 17), (SUM, LANE + 17)], cell)
    column(412, 172, i * g, INK, "end")
    p.wire([(TURN, LANE), (TURN, 158)], cell)
    p.wire([(TURN, 202), (TURN, OUT - 17)], cell)
    p.box(TURN - 36, 158, 72, 44, GREY, "#ffffff", 12, 3)
    p.text(TURN, 180, "$\\tanh$", 25)
    column(562, 214, tanh(c), INK, "end")
    p.wire([(514, BLOCK), (514, OUT), (TURN - 17, OUT)], COLORS["o"], bend=14)
    column(574, 283, o, COLORS["o"], "end")
    p.wire([(TURN, OUT), (TURN, BAR), (694, BAR)], hidden, 5)
    p.text(666, 378, "$h_t$", 28, hidden)
    column(697, 412, o * tanh(c), hidden, "end")
    p.dot(TURN, LANE, cell, 7)
    p.operator(150, LANE, "x")
    p.operator(SUM, LANE, "+")
    p.operator(SUM, MIX, "x")
    p.operator(TURN, OUT, "x")
    return p
