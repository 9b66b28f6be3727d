"""A small vector canvas: boxes, wires, operators and mathematical labels as plain SVG.

Letters are drawn as outlines, so that a figure looks the same on every machine.
Each label and wire is remembered, so that `clashes` can tell whether two of them touch.
"""

from itertools import pairwise

from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from companion.plots.style import GREY, INK

__all__ = ["GREY", "INK", "MUTED", "MUTED_TEXT", "Canvas", "tint"]

MUTED = "#ccd1d8"
MUTED_TEXT = "#868d98"
_LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}
_POINTS = {Path.CURVE3: 2, Path.CURVE4: 3}


def number(v):
    """Write a coordinate with at most two digits after the point."""
    text = f"{v:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def tint(color, share):
    """Mix `share` of an #RRGGBB color with white."""
    parts = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (p - 255) * share):02x}" for p in parts)


class Canvas:
    """An SVG picture of `width` by `height` units; y runs downwards."""

    def __init__(self, width, height, title, background="#ffffff"):
        self.width, self.height, self.title = width, height, title
        self.items, self.labels, self.sizes, self.segments = [], [], [], []
        if background:
            self.box(0, 0, width, height, fill=background, radius=14)

    def box(self, x, y, w, h, color=None, fill="none", radius=12, width=3, dash=None):
        """Draw a rounded box with its upper left corner at (x, y)."""
        stroke = f' stroke="{color}" stroke-width="{number(width)}"' if color else ""
        stroke += f' stroke-dasharray="{dash}"' if dash else ""
        place = f'x="{number(x)}" y="{number(y)}" width="{number(w)}" height="{number(h)}"'
        self.items.append(f'<rect {place} rx="{number(radius)}" fill="{fill}"{stroke}/>')

    def text(
        self, x, y, label, size=26, color=INK, anchor="middle", bold=False, family="DejaVu Sans"
    ):
        """Write a label (mathtext allowed); (x, y) is its middle, start or end."""
        font = FontProperties(
            family=family, weight="bold" if bold else "normal", math_fontfamily="cm"
        )
        path = TextPath((0, 0), label, size=size, prop=font)
        low, high = path.get_extents().min, path.get_extents().max
        shift = {"start": -low[0], "middle": -(low[0] + high[0]) / 2, "end": -high[0]}[anchor] + x
        base = y + 0.34 * size
        stroke = f' stroke="{color}" stroke-width="{number(size * 0.018)}"' if "$" in label else ""
        self.items.append(f'<path d="{_outline(path, shift, base)}" fill="{color}"{stroke}/>')
        extent = (low[0] + shift, base - high[1], high[0] + shift, base - low[1])
        self.labels.append((label, extent))
        self.sizes.append((label, size))

    def wire(self, points, color=INK, width=4, arrow=True, dash=None, bend=16, halo=None):
        """Draw a line through `points` with round bends, ending in an arrow head."""
        self.segments += [(a, b) for a, b in pairwise(points)]
        points = [tuple(map(float, p)) for p in points]
        head = 3.2 * width + 3
        end = points[-1]
        if arrow:
            points[-1] = _towards(end, points[-2], head * 0.8)
        d = f"M{number(points[0][0])} {number(points[0][1])}"
        for before, corner, after in zip(points[:-2], points[1:-1], points[2:], strict=True):
            start, stop = _towards(corner, before, bend), _towards(corner, after, bend)
            d += "L{} {}Q{} {} {} {}".format(*map(number, (*start, *corner, *stop)))
        d += "L{} {}".format(*map(number, points[-1]))
        if halo:  # passes over what lies below, without touching it
            edge = f'stroke="{halo}" stroke-width="{number(width + 8)}"'
            self.items.append(f'<path d="{d}" fill="none" {edge}/>')
        style = f' stroke-dasharray="{dash}"' if dash else ""
        self.items.append(
            f'<path d="{d}" fill="none" stroke="{color}" stroke-width="{number(width)}"{style}/>'
        )
        if arrow:
            back = _towards(end, points[-2], head)
            dx, dy = (end[0] - back[0]) * 0.45, (end[1] - back[1]) * 0.45
            corners = (*end, back[0] - dy, back[1] + dx, back[0] + dy, back[1] - dx)
            self.items.append(
                '<path d="M{} {}L{} {}L{} {}Z" fill="{}"/>'.format(*map(number, corners), color)
            )

    def dot(self, x, y, color=INK, radius=6):
        """Mark a place where a wire branches."""
        self.items.append(
            f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" fill="{color}"/>'
        )

    def operator(self, x, y, sign, color=INK, radius=19):
        """Draw a circle with a product sign ("x") or a sum sign ("+") at (x, y)."""
        r = radius * (0.36 if sign == "x" else 0.5)
        ends = (x - r, y - r, x + r, y + r, x - r, y + r, x + r, y - r)
        if sign == "+":
            ends = (x - r, y, x + r, y, x, y - r, x, y + r)
        d = "M{} {}L{} {}M{} {}L{} {}".format(*map(number, ends))
        circle = f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" fill="#ffffff"/>'
        self.items.append(f'<g stroke="{color}" stroke-width="3.5">{circle}<path d="{d}"/></g>')

    def clashes(self):
        """Return pairs of labels that overlap, labels crossed by a wire, and labels at the edge."""
        found = []
        for k, (label, a) in enumerate(self.labels):
            if a[0] < 2 or a[1] < 2 or a[2] > self.width - 2 or a[3] > self.height - 2:
                found.append((label, "edge"))
            found += [(label, other) for other, b in self.labels[k + 1 :] if _overlap(a, b)]
            for p, q in self.segments:
                line = (
                    min(p[0], q[0]) - 3,
                    min(p[1], q[1]) - 3,
                    max(p[0], q[0]) + 3,
                    max(p[1], q[1]) + 3,
                )
                if _overlap(a, line):
                    found.append((label, (p, q)))
        return found

    def svg(self):
        """Return the picture as the text of an SVG file."""
        w, h = self.width, self.height
        size = f'width="{w}" height="{h}" viewBox="0 0 {w} {h}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
        return "\n".join([head, f"<title>{self.title}</title>", *self.items, "</svg>", ""])


def _towards(a, b, distance):
    """Return the point `distance` from a on the way to b, at most half the way."""
    length = ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5
    share = min(distance / length, 0.5) if length else 0.0
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _outline(path, dx, base):
    """Return the SVG path data of a matplotlib path, flipped and moved."""
    out, k = [], 0
    while k < len(path.codes):
        code = path.codes[k]
        if code == Path.CLOSEPOLY:
            out.append("Z")
            k += 1
            continue
        n = _POINTS.get(code, 1)
        points = path.vertices[k : k + n]
        out.append(
            _LETTERS[code] + " ".join(f"{number(x + dx)} {number(base - y)}" for x, y in points)
        )
        k += n
    return "".join(out)
