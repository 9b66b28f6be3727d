"""Three functions of two inputs, a perceptron, and the two passes of back-propagation."""

from canvas import GREY, INK, Canvas, tint

from companion.plots.style import COLORS

HIDDEN, DASH = COLORS["h"], "12 6"
PAPER = "#f4f6f9"


def three_functions():
    """AND, OR and XOR on the corners of a square; a full dot is an answer of 1."""
    c = Canvas(700, 208, "Three functions of two inputs")
    answers = {"AND": (0, 0, 0, 1), "OR": (0, 1, 1, 1), "XOR": (0, 1, 1, 0)}
    for x, (name, row) in zip((122, 350, 578), answers.items(), strict=True):
        c.box(x - 108, 48, 216, 154, fill=PAPER, radius=16)
        c.text(x, 26, name, 25, bold=True)
        for k, answer in enumerate(row):
            right, up = divmod(k, 2)  # the inputs x_1 and x_2
            side = 1 if right else -1
            dot_x, dot_y = x + 42 * side, 84 if up else 166
            c.dot(dot_x, dot_y, INK, 15)
            if not answer:
                c.dot(dot_x, dot_y, "#ffffff", 11)
            anchor = "start" if right else "end"
            c.text(dot_x + 24 * side, dot_y, f"{right} {up}", 22, GREY, anchor)
    return c


def perceptron():
    """Two inputs and a bias, weighted and added; the answer is 1 above zero."""
    c = Canvas(700, 300, "A perceptron with two inputs")
    middle, total = 150, 320
    for y, source, weight in ((56, "$x_1$", "$w_1$"), (150, "$x_2$", "$w_2$"), (244, "1", "$b$")):
        c.box(28, y - 32, 64, 64, INK, PAPER, 16, 3)
        c.text(60, y, source, 30)
        c.wire([(92, y), (152, y)], INK, 4, arrow=False)
        c.box(152, y - 25, 84, 50, INK, "#ffffff", 25, 3)
        c.text(194, y, weight, 28)
    c.wire([(236, 56), (total, 56), (total, middle - 26)], INK)
    c.wire([(236, middle), (total - 26, middle)], INK)
    c.wire([(236, 244), (total, 244), (total, middle + 26)], INK)
    c.operator(total, middle, "+", radius=26)
    c.wire([(total + 26, middle), (416, middle)], INK)
    c.box(416, middle - 48, 134, 96, INK, PAPER, 16, 3)
    c.text(483, middle, "$> 0\\;?$", 32)
    c.wire([(550, middle), (612, middle)], INK)
    c.text(646, middle, "$y$", 34)
    c.text(646, middle + 42, "1 or 0", 20, GREY)
    return c


def two_passes():
    """Above, values from left to right; below, derivatives from right to left."""
    c = Canvas(700, 452, "The two passes of back-propagation")
    columns = {"x": 76, "h": 290, "y": 474, "L": 632}
    rows, half, back = (96, 202), 33, 336

    def unit(column, row, label, color=INK):
        x, fill = columns[column], PAPER if color == INK else tint(color, 0.14)
        c.box(x - half, row - half, 2 * half, 2 * half, color, fill, half, 3)
        c.text(x, row, label, 30)

    middle = sum(rows) / 2
    for k, row in enumerate(rows, 1):
        for other in rows:
            c.wire([(columns["x"] + half, row), (columns["h"] - half, other)], INK, 3.5)
        c.wire([(columns["h"] + half, row), (columns["y"] - half, middle)], HIDDEN, 4)
        unit("x", row, f"$x_{k}$")
        unit("h", row, f"$h_{k}$", HIDDEN)
    c.wire([(columns["y"] + half, middle), (columns["L"] - half, middle)], INK)
    unit("y", middle, "$y$")
    unit("L", middle, "$L$")
    c.text(183, 44, "$V,\\,b$", 28)
    c.text(382, 44, "$W_y,\\,b_y$", 28)
    c.text(592, 44, "forward", 22, GREY)

    # The way back: each derivative under the value that it belongs to.
    c.wire([(632, middle + half), (632, back), (528, back)], INK, 4, dash=DASH)
    c.wire([(420, back), (344, back)], INK, 4, dash=DASH)
    for column, label in (("y", r"$\mathrm{d}a_y$"), ("h", r"$\mathrm{d}a$")):
        x = columns[column]
        c.box(x - 54, back - 30, 108, 60, INK, "#ffffff", 16, 3)
        c.text(x, back, label, 30)
        c.wire([(x, back + 30), (x, 396)], INK, 4, dash=DASH)
    c.text(382, back - 30, r"$\mathrm{d}h$", 28, HIDDEN)
    c.text(290, 424, r"$\mathrm{d}V,\ \mathrm{d}b$", 28)
    c.text(474, 424, r"$\mathrm{d}W_y,\ \mathrm{d}b_y$", 28)
    c.wire([(290, rows[1] + half), (290, back - 30)], GREY, 3, dash="3 5")
    c.text(276, 268, "kept", 20, GREY, "end")
    c.text(104, back, "backward", 22, GREY)
    return c
