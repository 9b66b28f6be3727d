"""What leads to what: the chapters of the book, and the loop of training."""

from canvas import GREY, INK, Canvas


def learning_loop():
    """Forward, loss, backward, update, and round again."""
    c = Canvas(700, 400, "The training loop")
    boxes = {
        "forward": (158, 100, "Forward", "3.1  run the cell"),
        "loss": (542, 100, "Loss", "how wrong?"),
        "backward": (542, 300, "Backward", "3.2  derivatives"),
        "update": (158, 300, "Update", "3.3  change weights"),
    }
    for x, y, name, note in boxes.values():
        c.box(x - 132, y - 54, 264, 108, INK, "#f4f6f9", 18, 3)
        c.text(x, y - 18, name, 29, bold=True)
        c.text(x, y + 22, note, 22, GREY)
    c.wire([(290, 100), (410, 100)], INK, 5)
    c.wire([(542, 154), (542, 246)], INK, 5)
    c.wire([(410, 300), (290, 300)], INK, 5, dash="14 5")
    c.wire([(158, 246), (158, 154)], INK, 5)
    c.text(350, 72, "outputs", 22)
    c.text(526, 200, "error", 22, anchor="end")
    c.text(350, 272, "gradients", 21)
    c.text(176, 200, "new weights", 22, anchor="start")
    return c


# Chapter -> row, column, name, note; column 0 and 1 are left and right, None is both.
CHAPTERS = {
    "": (0, 0, "Primer", "start here"),
    "1": (0, 1, "Background", "why LSTM was made"),
    "2": (1, None, "Core concepts", "the cell and its gates"),
    "3": (2, 0, "Algorithm", "forward, backward"),
    "4": (2, 1, "Mathematics", "each formula at work"),
    "5": (3, None, "Practice", "a model in PyTorch"),
    "6": (4, 0, "Applications", "text, speech, series"),
    "7": (4, 1, "Tools", "frameworks and data"),
    "8": (5, 0, "Outlook", "limits and research"),
    "9": (5, 1, "Questions", "short answers"),
}


def chapter_map():
    """Primer and chapters, and what leads to what."""
    c = Canvas(700, 664, "The primer, the nine chapters, and which builds on which")
    width, high, step = 312, 84, 112
    for chapter, (row, column, name, note) in CHAPTERS.items():
        x = 350 if column is None else (170, 530)[column]
        y, left = 52 + step * row, x - width / 2
        c.box(left, y - high / 2, width, high, INK, "#dfe6f0", 16, 2.5)
        c.box(left + 12, y - 26, 52, 52, None, INK, 26)
        if chapter:
            c.text(left + 38, y, chapter, 28, "#ffffff", bold=True)
        else:
            c.wire([(left + 25, y), (left + 52, y)], "#ffffff", 4)
        c.text(left + 76, y - 15, name, 26, anchor="start", bold=True)
        c.text(left + 76, y + 18, note, 20, GREY, "start")

    def down(x, row):
        c.wire([(x, 94 + step * row), (x, 122 + step * row)], INK)

    c.wire([(326, 52), (374, 52)], INK)
    for x, row in ((440, 0), (260, 1), (440, 1), (260, 2), (440, 2), (260, 3), (170, 4)):
        down(x, row)
    c.wire([(440, 458), (440, 430)], INK)
    return c
