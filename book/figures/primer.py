"""A recurrent network that reads a line and says at each step what it expects next."""

from canvas import GREY, INK, Canvas, tint

from companion.plots.style import COLORS

HIDDEN = COLORS["h"]
READ, EXPECTED = "To be", "o be,"
FIRST, STEP = 158, 114  # middle of the first state; from one to the next
HALF, MIDDLE = 34, 150  # half a box; the height of the states' middles


def primer_line():
    """Five steps: a character goes in below, the one expected next comes out above."""
    c = Canvas(700, 304, "A recurrent network reads a line, character by character")
    c.text(22, 42, "expects", 21, GREY, anchor="start")
    c.text(22, 264, "reads", 21, GREY, anchor="start")
    before = 44  # the left end of the wire into the first state
    for t, (read, expected) in enumerate(zip(READ, EXPECTED, strict=True), 1):
        x = FIRST + (t - 1) * STEP
        c.wire([(before, MIDDLE), (x - HALF, MIDDLE)], HIDDEN, 5)
        before = x + HALF
        c.box(x - HALF, MIDDLE - HALF, 2 * HALF, 2 * HALF, HIDDEN, tint(HIDDEN, 0.14), 16, 3)
        c.text(x, MIDDLE, f"$h_{t}$", 32)
        c.wire([(x, MIDDLE - HALF), (x, 68)], HIDDEN, 5)
        c.wire([(x, 238), (x, MIDDLE + HALF)], HIDDEN, 5)
        for letter, y in ((expected, 40), (read, 264)):
            c.text(x, y, letter.replace(" ", "\N{OPEN BOX}"), 32, INK, bold=True)
    c.wire([(before, MIDDLE), (694, MIDDLE)], HIDDEN, 5)
    return c
