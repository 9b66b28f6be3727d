"""Draw every diagram of the book: `python book/figures/draw.py` writes the SVG files beside it."""

from pathlib import Path

from canvas import GREY, INK, MUTED, MUTED_TEXT, Canvas, tint
from early import perceptron, three_functions, two_passes
from overview import chapter_map, learning_loop
from primer import primer_line
from reading import reading
from unrolled import rnn_jacobians, rnn_unrolled
from variants import variants
from worked_step import worked_step

from companion.plots.style import COLORS

PARTS = {  # what each highlighted picture shows in color
    "input-gate": {"i", "ig"},
    "forget-gate": {"f", "keep"},
    "cell-state": {"g", "ig", "keep", "c"},
    "output-gate": {"o", "h", "tanh"},
}
BLOCKS = {  # letter -> x of its middle, activation, name, signal
    "f": (161, r"$\sigma$", "forget", "$f_t$"),
    "i": (273, r"$\sigma$", "input", "$i_t$"),
    "g": (385, "$\\tanh$", "candidate", r"$\tilde{C}_t$"),
    "o": (497, r"$\sigma$", "output", "$o_t$"),
}
LANE, MIX, OUT, BLOCK, BAR = 130, 235, 290, 320, 445  # heights, from above
SUM, TURN = 329, 575  # where the lane takes in i * g, and where h leaves it


def lstm_cell(highlight=None):
    """One LSTM cell; with `highlight`, a key of PARTS, the rest is muted."""
    shown = PARTS.get(highlight)

    def paint(part, color):
        return color if shown is None or part in shown else MUTED

    def write(part, color=INK):
        return color if shown is None or part in shown else MUTED_TEXT

    title = "An LSTM cell" + (f": {highlight.replace('-', ' ')}" if highlight else "")
    c = Canvas(700, 600, title)
    c.box(78, 62, 544, 448, color="#c3c9d1", fill="#f7f8fa", radius=26, width=2.5)
    cell, hidden = COLORS["c"], COLORS["h"]

    # The cell state runs along the top.
    c.wire([(6, LANE), (BLOCKS["f"][0] - 17, LANE)], paint("keep", cell), 7)
    c.wire([(BLOCKS["f"][0], LANE), (SUM - 17, LANE)], paint("keep", cell), 7)
    c.wire([(SUM, LANE), (694, LANE)], paint("c", cell), 7)
    c.text(40, LANE - 32, "$C_{t-1}$", 30, write("keep", cell))
    c.text(662, LANE - 32, "$C_t$", 30, write("c", cell))
    c.text(244, LANE - 30, r"$f_t\odot C_{t-1}$", 25, write("keep"))

    # The joined input feeds four blocks.
    c.wire([(6, BAR), (108, BAR)], hidden, 5)
    c.text(40, BAR - 30, "$h_{t-1}$", 30, hidden)
    c.wire([(SUM, 578), (SUM, BAR + 26)], INK, 5)
    c.text(SUM + 32, 552, "$x_t$", 30)
    for letter, (x, squash, name, _) in BLOCKS.items():
        color = paint(letter, COLORS[letter])
        c.wire([(x, BAR - 24), (x, BLOCK + 80)], paint(letter, GREY), 3.5)
        c.box(x - 53, BLOCK, 106, 80, color, tint(color, 0.14), 12, 3.5)
        c.text(x, BLOCK + 26, squash, 30, write(letter))
        c.text(x, BLOCK + 57, name, 19.5, write(letter))
    c.box(108, BAR - 24, 442, 48, INK, "#ffffff", 24, 3)
    c.text(SUM, BAR, r"$[\,h_{t-1},\,x_t\,]$", 28)

    # Gates: f keeps, i lets the candidate in, o lets the state out.
    c.wire([(161, BLOCK), (161, LANE + 17)], paint("f", COLORS["f"]))
    c.text(178, 268, "$f_t$", 29, write("f", COLORS["f"]), "start")
    c.wire([(273, BLOCK), (273, MIX), (SUM - 17, MIX)], paint("i", COLORS["i"]))
    c.text(261, 268, "$i_t$", 29, write("i", COLORS["i"]), "end")
    c.wire([(385, BLOCK), (385, MIX), (SUM + 17, MIX)], paint("g", COLORS["g"]))
    c.text(399, 268, r"$\tilde{C}_t$", 29, write("g", COLORS["g"]), "start")
    c.wire([(SUM, MIX - 17), (SUM, LANE + 17)], paint("ig", COLORS["c"]))
    c.text(SUM + 16, 187, r"$i_t\odot\tilde{C}_t$", 25, write("ig"), "start")
    c.wire([(TURN, LANE), (TURN, 182)], paint("tanh", COLORS["c"]))
    c.wire([(TURN, 226), (TURN, OUT - 17)], paint("tanh", COLORS["c"]))
    c.box(TURN - 38, 182, 76, 44, paint("tanh", GREY), "#ffffff", 12, 3)
    c.text(TURN, 204, "$\\tanh$", 25, write("tanh"))
    c.wire([(497, BLOCK), (497, OUT), (TURN - 17, OUT)], paint("o", COLORS["o"]), bend=14)
    c.text(530, OUT - 23, "$o_t$", 29, write("o", COLORS["o"]))
    c.wire([(TURN, OUT), (TURN, BAR), (694, BAR)], paint("h", hidden), 5)
    c.text(662, BAR - 30, "$h_t$", 30, write("h", hidden))
    c.dot(TURN, LANE, paint("c", cell), 7)
    c.operator(161, LANE, "x", write("keep"))
    c.operator(SUM, LANE, "+", write("c"))
    c.operator(SUM, MIX, "x", write("ig"))
    c.operator(TURN, OUT, "x", write("h"))
    return c


def lstm_backward():
    """The same cell with the derivatives flowing back through it."""
    c = Canvas(700, 480, "Derivatives flowing back through an LSTM cell")
    c.box(96, 16, 522, 396, color="#c3c9d1", fill="#f7f8fa", radius=26, width=2.5)
    cell, hidden, dash = COLORS["c"], COLORS["h"], "14 5"
    lane, mix, out, block, bar = 74, 168, 224, 248, 350  # heights, from above
    f_x, mix_x, o_x, turn = 169, 323, 477, 561
    blocks = {"f": f_x, "i": 271, "g": 375, "o": o_x}

    c.wire([(694, lane), (turn + 17, lane)], cell, 7, dash=dash)
    c.wire([(turn, lane), (mix_x, lane)], cell, 7, arrow=False, dash=dash)
    c.wire([(mix_x, lane), (f_x + 17, lane)], cell, 7, dash=dash)
    c.wire([(f_x, lane), (6, lane)], cell, 7, dash=dash)
    c.text(659, lane - 28, r"$\mathrm{d}C_t|_C$", 25, cell)
    c.text(48, lane - 28, r"$\mathrm{d}C_{t-1}|_C$", 22, cell)
    c.text(452, lane - 30, r"$\mathrm{d}C_t$", 29, cell)

    c.wire([(694, bar), (turn + 17, bar)], hidden, 5, dash=dash)
    c.wire([(turn, 474), (turn, bar + 17)], hidden, 5, dash=dash)
    c.wire([(turn, bar - 17), (turn, out + 17)], hidden, 5, dash=dash)
    c.text(659, bar - 28, r"$\mathrm{d}h_t|_a$", 25, hidden)
    c.text(turn + 16, 446, r"$\mathrm{d}y_t$", 27, hidden, "start")
    c.text(turn + 12, 290, r"$\mathrm{d}h_t$", 26, hidden, "start")
    c.wire([(turn, out - 17), (turn, 167)], hidden, dash=dash)
    c.wire([(turn, 128), (turn, lane + 17)], cell, dash=dash)
    c.text(turn - 12, 106, r"$\mathrm{d}C_t|_h$", 24, cell, "end")
    c.box(turn - 38, 128, 76, 39, GREY, "#ffffff", 12, 3)
    c.text(turn, 147.5, "$\\tanh$", 25)
    c.wire([(turn - 17, out), (o_x, out), (o_x, block)], COLORS["o"], dash=dash, bend=10)
    c.wire([(f_x, lane + 17), (f_x, block)], COLORS["f"], dash=dash)
    c.wire([(mix_x, lane), (mix_x, mix - 17)], cell, dash=dash)
    c.wire([(mix_x - 17, mix), (271, mix), (271, block)], COLORS["i"], dash=dash)
    c.wire([(mix_x + 17, mix), (375, mix), (375, block)], COLORS["g"], dash=dash)
    c.text(f_x + 14, 205, r"$\mathrm{d}f_t$", 26, COLORS["f"], "start")
    c.text(259, 205, r"$\mathrm{d}i_t$", 26, COLORS["i"], "end")
    c.text(387, 205, r"$\mathrm{d}\tilde{C}_t$", 26, COLORS["g"], "start")
    c.text(506, out - 24, r"$\mathrm{d}o_t$", 26, COLORS["o"])

    for letter, x in blocks.items():
        color = COLORS[letter]
        c.wire([(x, block + 46), (x, bar - 26)], color, dash=dash)
        c.box(x - 46, block, 92, 46, color, tint(color, 0.14), 12, 3.5)
        c.text(x, block + 23, BLOCKS[letter][1], 29)
        index = "C" if letter == "g" else letter
        c.text(x - 8, 309, rf"$\mathrm{{d}}a_{{{index},t}}$", 24, color, "end")
    c.box(114, bar - 24, 406, 48, INK, "#ffffff", 24, 3)
    c.text(320, bar, r"$[\,\mathrm{d}h_{t-1}|_a,\ \mathrm{d}x_t\,]$", 28)
    c.wire([(114, bar), (6, bar)], hidden, 5, dash=dash)
    c.text(48, bar - 30, r"$\mathrm{d}h_{t-1}|_a$", 22, hidden)
    c.wire([(320, bar + 24), (320, 474)], INK, 5, dash=dash)
    c.text(338, 446, r"$\mathrm{d}x_t$", 29, INK, "start")
    c.operator(f_x, lane, "x")
    c.operator(turn, lane, "+")
    c.operator(mix_x, mix, "x")
    c.operator(turn, out, "x")
    c.operator(turn, bar, "+")
    c.dot(mix_x, lane, cell, 8)
    return c


def lstm_unrolled():
    """Three cells in a row, passing h and C on."""
    c = Canvas(700, 360, "An LSTM over three steps")
    cell, hidden = COLORS["c"], COLORS["h"]
    middles = {"t-1": 150, "t": 350, "t+1": 550}
    for step, x in middles.items():
        c.box(x - 64, 96, 128, 168, "#c3c9d1", "#f7f8fa", 20, 2.5)
        c.wire([(x, 350), (x, 264)], INK, 5)
        c.text(x + 14, 314, f"$x_{{{step}}}$", 28, anchor="start")
        c.text(x + 28, 50, f"$h_{{{step}}}$", 28, hidden, "end")
        for k, letter in enumerate("figo"):
            color, left = COLORS[letter], x - 57 + 22 * k
            c.box(left, 158, 17, 32, color, tint(color, 0.3), 5, 3)
    ends = [6, *(x - 64 for x in middles.values())]
    for start, stop in zip(ends, [*ends[1:], 694], strict=True):
        start = start if start == 6 else start + 128
        c.wire([(start, 126), (stop, 126)], cell, 7)
        c.wire([(start, 222), (stop, 222)], hidden, 5)
    for x in middles.values():
        c.wire([(x - 64, 126), (x + 64, 126)], cell, 7, arrow=False)
        c.wire([(x - 64, 222), (x + 64, 222)], hidden, 5, arrow=False)
        c.wire([(x + 40, 222), (x + 40, 20)], hidden, 5, halo="#f7f8fa")
        c.dot(x + 40, 222, hidden, 7)
        c.operator(x - 44, 126, "x", radius=14)
        c.operator(x + 4, 126, "+", radius=14)
    for x, step in ((42, "t-2"), (250, "t-1"), (450, "t"), (652, "t+1")):
        c.text(x, 96, f"$C_{{{step}}}$", 26, cell)
    c.text(42, 194, "$h_{t-2}$", 26, hidden)
    return c


def rnn_cell():
    """A plain recurrent cell in the same style."""
    c = Canvas(700, 380, "A plain recurrent cell")
    hidden = COLORS["h"]
    c.box(110, 40, 480, 240, "#c3c9d1", "#f7f8fa", 26, 2.5)
    c.wire([(6, 215), (150, 215)], hidden, 5)
    c.text(54, 185, "$h_{t-1}$", 30, hidden)
    c.wire([(270, 360), (270, 241)], INK, 5)
    c.text(302, 328, "$x_t$", 30)
    c.box(150, 191, 240, 48, INK, "#ffffff", 24, 3)
    c.text(270, 215, r"$[\,h_{t-1},\,x_t\,]$", 28)
    c.wire([(270, 191), (270, 146)], GREY, 3.5)
    c.box(210, 82, 120, 64, hidden, tint(hidden, 0.14), 12, 3.5)
    c.text(270, 114, "$\\tanh$", 30)
    c.wire([(330, 114), (500, 114), (500, 215), (694, 215)], hidden, 5)
    c.text(648, 185, "$h_t$", 30, hidden)
    return c


def logo():
    """A mark for the site: the state that runs through, and a gate on it."""
    c = Canvas(64, 64, "Long Short-Term Memory", background=None)
    c.box(0, 0, 64, 64, None, INK, 14)
    c.wire([(6, 22), (58, 22)], "#f0b44d", 6, arrow=False)
    for x, letter in ((16, "f"), (32, "i"), (48, "o")):
        color = {"f": "#ff6d8f", "i": "#3fcf93", "o": "#5aa6ff"}[letter]
        c.wire([(x, 50), (x, 22)], color, 5, arrow=False)
        c.dot(x, 22, color, 6.5)
        c.dot(x, 22, INK, 2.8)
    return c


def figures():
    """Return every picture: file name -> Canvas."""
    made = {
        "lstm-cell.svg": lstm_cell(),
        "lstm-backward.svg": lstm_backward(),
        "lstm-unrolled.svg": lstm_unrolled(),
        "rnn-cell.svg": rnn_cell(),
        "three-functions.svg": three_functions(),
        "perceptron.svg": perceptron(),
        "two-passes.svg": two_passes(),
        "primer-line.svg": primer_line(),
        "rnn-unrolled.svg": rnn_unrolled(),
        "rnn-jacobians.svg": rnn_jacobians(),
        "lstm-variants.svg": variants(),
        "lstm-worked-step.svg": worked_step(),
        "learning-loop.svg": learning_loop(),
        "chapter-map.svg": chapter_map(),
        "reading.svg": reading(),
        "logo.svg": logo(),
    }
    return made | {f"lstm-cell-{part}.svg": lstm_cell(part) for part in PARTS}


if __name__ == "__main__":
    for name, canvas in figures().items():
        Path(__file__).with_name(name).write_text(canvas.svg(), encoding="utf-8", newline="\n")
