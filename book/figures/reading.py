"""A few lines that the trained character model reads, on the color of one number in its memory."""

from itertools import groupby

import numpy as np
from canvas import INK, Canvas
from matplotlib.colors import to_hex

from companion.models import characters
from companion.plots.curves import color_scale

UNIT = 246  # that of book/concepts/structure.ipynb, which shows other lines
START, END = "Show me thy chink", "But what see"
BEFORE = 1000  # characters that are read first, so that the state is warm
COLUMN, ROW, EDGE = 12, 30, 14


def remembered():
    """The lines, and the cell state of the unit after each character, to one digit.

    Computed in float64, so that no processor's rounding reaches that digit.
    """
    params, alphabet = characters.load()
    params = {name: value.astype(np.float64) for name, value in params.items()}
    text = characters.parts()["test"]
    first = text.index(START)
    last = text.index(END, first)
    model = characters.Characters(params, alphabet)
    reading = characters.run(model, text[first - BEFORE : last])
    return text[first:last], reading.traces["c"][BEFORE:, UNIT].round(1)


def reading():
    """Three lines of a play; orange is a cell state above zero, violet one below."""
    text, values = remembered()
    low, top, cmap = color_scale("c", values)
    rgb = cmap((values - low) / (top - low))[:, :3]
    light = rgb**2.2 @ [0.2126, 0.7152, 0.0722]  # as in companion.plots.letters
    cells = [
        ("↵" if letter == "\n" else letter, to_hex(color), INK if bright > 0.22 else "#ffffff")
        for letter, color, bright in zip(text, rgb, light, strict=True)
    ]
    starts = [0, *(k + 1 for k, letter in enumerate(text) if letter == "\n")]
    rows = [cells[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]

    c = Canvas(700, 2 * EDGE + ROW * len(rows), "What one unit of a trained LSTM remembers")
    for k, row in enumerate(rows):
        column, y = 0, EDGE + ROW * k
        for fill, run in groupby(row, key=lambda cell: cell[1]):
            n = len(list(run))
            c.box(EDGE + COLUMN * column, y, COLUMN * n, ROW, fill=fill, radius=0)
            column += n
        for j, (letter, _, ink) in enumerate(row):
            if letter != " ":
                x = EDGE + COLUMN * (j + 0.5)
                c.text(x, y + ROW / 2, letter, 19.5, ink, family="DejaVu Sans Mono")
    return c
