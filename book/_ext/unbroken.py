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
AS_WRITTEN = (nodes.literal, nodes.FixedTextElement)


def taken(text, marks):
    """The marks at the end of a text beside a formula, which loses them."""
    found = marks.search(text) if isinstance(text, nodes.Text) else None
    if found is None:
        return []
    text.parent.replace(text, nodes.Text(marks.sub("", text)))
    return [nodes.Text(found[0])]


class Unbroken(SphinxPostTransform):
    default_priority = 900  # after references have become text
    formats = ("html",)

    def run(self, **options):
        for text in list(self.document.findall(nodes.Text)):
            if UNIT.search(text) and not isinstance(text.parent, AS_WRITTEN):
                text.parent.replace(text, nodes.Text(UNIT.sub(NO_BREAK_SPACE, text)))
        for formula in list(self.document.findall(nodes.math)):
            parent = formula.parent
            at = parent.index(formula)
            before = taken(parent[at - 1], BEFORE) if at else []
            after = taken(parent[at + 1], AFTER) if at + 1 < len(parent) else []
            if before or after:
                parent[at] = nodes.inline("", "", *before, formula, *after, classes=["unbroken"])


def setup(app):
    app.add_post_transform(Unbroken)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
