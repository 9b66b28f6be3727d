"""The variants of the LSTM cell side by side, with everything left out that they share."""

from canvas import GREY, INK, Canvas, tint

from companion.plots.style import COLORS

CELL, HIDDEN = COLORS["c"], COLORS["h"]
WIDTH, HEIGHT = 350, 312  # of one panel
LANE, MIX, OUT, BOX, FLOOR = 84, 150, 184, 216, 282  # heights in a panel, from above
FORGET, SUM, TURN = 72, 162, 306  # middles of the products and sums on the lane
X = {"f": 72, "i": 126, "g": 198, "o": 266}  # middles of the boxes


def variants():
    """Six panels: five cells of the book, and the second form of the GRU."""
    c = Canvas(2 * WIDTH, 3 * HEIGHT, "Six variants of the cell")
    draw = {
        "1997": lambda x, y: lstm(c, x, y, ""),
        "LSTM": lambda x, y: lstm(c, x, y, "f"),
        "peephole": lambda x, y: lstm(c, x, y, "fp"),
        "coupled": lambda x, y: lstm(c, x, y, "1"),
        "GRU, reset after": lambda x, y: gru(c, x, y, after=True),
        "GRU, reset before": lambda x, y: gru(c, x, y, after=False),
    }
    for k, (name, panel) in enumerate(draw.items()):
        x, y = k % 2 * WIDTH, k // 2 * HEIGHT
        c.box(x + 8, y + 8, WIDTH - 16, HEIGHT - 16, "#c3c9d1", "#f7f8fa", 18, 2)
        c.text(x + 24, y + 34, name, 22, anchor="start", bold=True)
        panel(x, y)
    return c


def lstm(c, x, y, keep):
    """keep: "" without a forget gate, "f" with one, "p" added with peepholes, "1" with 1 - i."""
    lane = y + LANE
    c.wire([(x + 14, lane), (x + SUM - 13, lane)], CELL, 5)
    c.wire([(x + SUM, lane), (x + WIDTH - 12, lane)], CELL, 5)
    if "f" in keep:
        box(c, x, y, "f", "$f$")
        c.wire([(x + X["f"], y + BOX), (x + X["f"], lane + 13)], COLORS["f"], 3)
    box(c, x, y, "i", "$i$")
    box(c, x, y, "g", r"$\tilde{C}$")
    box(c, x, y, "o", "$o$")
    into_sum(c, x, y)
    if keep == "1":
        c.wire([(x + X["i"], y + MIX), (x + FORGET, y + MIX), (x + FORGET, lane + 13)], INK, 3)
        c.dot(x + X["i"], y + MIX, COLORS["i"], 5)
        c.text(x + 62, y + 126, "$1-i$", 20, anchor="end")
    c.wire([(x + TURN, lane), (x + TURN, y + 112)], CELL, 3, arrow=False)
    c.wire([(x + TURN, y + 144), (x + TURN, y + OUT - 13)], CELL, 3)
    c.wire([(x + X["o"], y + BOX), (x + X["o"], y + OUT), (x + TURN - 13, y + OUT)], COLORS["o"], 3)
    c.wire([(x + TURN, y + OUT), (x + TURN, y + FLOOR), (x + WIDTH - 12, y + FLOOR)], HIDDEN, 4)
    c.box(x + TURN - 29, y + 112, 58, 32, GREY, "#ffffff", 9, 2.5)
    c.text(x + TURN, y + 128, "tanh", 20)
    if "p" in keep:
        peepholes(c, x, y)
    if keep:
        c.operator(x + FORGET, lane, "x", radius=13)
    c.operator(x + SUM, lane, "+", radius=13)
    c.operator(x + SUM, y + MIX, "x", radius=13)
    c.operator(x + TURN, y + OUT, "x", radius=13)
    c.dot(x + TURN, lane, CELL, 5)
    c.text(x + WIDTH - 28, lane - 22, "$C$", 22, CELL)
    c.text(x + WIDTH - 24, y + FLOOR - 22, "$h$", 22, HIDDEN)


def peepholes(c, x, y):
    """Dashed wires from the lane into the gates: i and f see the old state, o the new one."""
    lane, low = y + LANE, y + FLOOR - 6
    c.wire([(x + 32, lane), (x + 32, low), (x + X["i"], low), (x + X["i"], y + BOX + 44)],
           CELL, 2.5, dash="7 4")  # fmt: skip
    c.wire([(x + X["f"], low), (x + X["f"], y + BOX + 44)], CELL, 2.5, dash="7 4")
    c.wire([(x + 232, lane), (x + 232, low), (x + X["o"], low), (x + X["o"], y + BOX + 44)],
           CELL, 2.5, dash="7 4", bend=8)  # fmt: skip
    for place in (32, 232):
        c.dot(x + place, lane, CELL, 5)


def gru(c, x, y, after):
    """The state h runs along the top; the two forms differ in the order of U and the reset.

    z and n have the colors of the forget gate and the candidate, whose parts they play; r has none.
    """
    lane, low = y + LANE, y + 266
    c.wire([(x + 14, lane), (x + SUM - 13, lane)], HIDDEN, 5)
    c.wire([(x + SUM, lane), (x + WIDTH - 12, lane)], HIDDEN, 5)
    box(c, x, y, "f", "$z$", top=168)
    c.wire([(x + X["f"], y + 168), (x + X["f"], lane + 13)], COLORS["f"], 3)
    c.wire([(x + X["f"], y + MIX), (x + SUM - 13, y + MIX)], INK, 3)
    c.dot(x + X["f"], y + MIX, COLORS["f"], 5)
    c.text(x + 116, y + 130, "$1-z$", 20)
    c.wire([(x + SUM, y + MIX - 13), (x + SUM, lane + 13)], HIDDEN, 3)
    box(c, x, y, "g", "$n$", middle=284, top=168)
    c.wire([(x + 284, y + 168), (x + 284, y + MIX), (x + SUM + 13, y + MIX)], COLORS["g"], 3)
    reset, weights = (226, 138) if after else (138, 226)
    left, right = x + weights - 24, x + weights + 24  # the box of U
    c.wire([(x + 30, lane), (x + 30, low), (left, low)], HIDDEN, 3, arrow=False)
    c.wire([(right, low), (x + 284, low), (x + 284, y + 212)], HIDDEN, 3)
    c.dot(x + 30, lane, HIDDEN, 5)
    c.text(x + WIDTH - 28, lane - 22, "$h$", 22, HIDDEN)
    c.box(x + reset - 22, y + 184, 44, 44, INK, "#ffffff", 9, 3)
    c.text(x + reset, y + 206, "$r$", 26)
    c.wire([(x + reset, y + 228), (x + reset, low - 13)], INK, 3)
    c.box(left, low - 18, 48, 36, GREY, "#ffffff", 9, 2.5)
    c.text(x + weights, low, "$U_n$", 21)
    c.operator(x + reset, low, "x", radius=13)
    c.operator(x + FORGET, lane, "x", radius=13)
    c.operator(x + SUM, lane, "+", radius=13)
    c.operator(x + SUM, y + MIX, "x", radius=13)


def into_sum(c, x, y):
    """i and the candidate meet in a product, which goes up into the sum."""
    c.wire([(x + X["i"], y + BOX), (x + X["i"], y + MIX), (x + SUM - 13, y + MIX)], COLORS["i"], 3)
    c.wire([(x + X["g"], y + BOX), (x + X["g"], y + MIX), (x + SUM + 13, y + MIX)], COLORS["g"], 3)
    c.wire([(x + SUM, y + MIX - 13), (x + SUM, y + LANE + 13)], CELL, 3)


def box(c, x, y, letter, label, middle=None, top=BOX):
    """A gate or a candidate in its color."""
    middle = x + (X[letter] if middle is None else middle)
    c.box(middle - 22, y + top, 44, 44, COLORS[letter], tint(COLORS[letter], 0.14), 9, 3)
    c.text(middle, y + top + 22, label, 26)
