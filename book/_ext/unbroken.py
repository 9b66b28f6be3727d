"""Keep on one line what belongs together: a formula and the marks at its sides, a number and its %.

Browsers may break a line between a formula and a comma.
"""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

BEFORE = re.compile(r"[(\[“‘]+$")
AFTER = re.compile(r"^[.,;:?!)\]”’]+")
UNIT = re.compile(r"(?<=\d) (?=%|°C)")
NO_BREAK_SPACE = "\u00a0"
AS_WRITTEN = nodes.literal | nodes.math | nodes.FixedTextElement


def taken(parent, at, marks):
    """The marks of the text at a place beside a formula; the text loses them.

    Places, not texts: two equal texts of a paragraph, such as two full stops, count as one node.
    """
    text = parent[at] if 0 <= at < len(parent) else None
    found = marks.search(text) if isinstance(text, nodes.Text) else None
    if found is None:
        return []
    parent[at] = nodes.Text(marks.sub("", text))
    return [nodes.Text(found[0])]


class Unbroken(SphinxPostTransform):
    default_priority = 900  # after references have become text
    formats = ("html",)

    def run(self, **options):
        for parent in list(self.document.findall(nodes.TextElement)):
            if isinstance(parent, AS_WRITTEN):
                continue
            for at, child in enumerate(parent):
                if isinstance(child, nodes.Text):
                    parent[at] = nodes.Text(UNIT.sub(NO_BREAK_SPACE, child))
            for at, child in enumerate(parent):
                if isinstance(child, nodes.math):
                    before, after = taken(parent, at - 1, BEFORE), taken(parent, at + 1, AFTER)
                    if before or after:
                        whole = (*before, child, *after)
                        parent[at] = nodes.inline("", "", *whole, classes=["unbroken"])


def setup(app):
    app.add_post_transform(Unbroken)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
