"""What stays on one line, and that no text is lost on the way."""

import sys

from conftest import ROOT
from docutils import nodes
from docutils.utils import new_document

sys.path.append(str(ROOT / "book" / "_ext"))
from unbroken import Unbroken  # noqa: E402


def test_marks_stay_with_their_own_formula():
    parts = (
        *("With ", nodes.math("", "f"), ", as in (", nodes.math("", "g"), "), and see "),
        *(nodes.reference("", "there"), ".", nodes.math("", "h"), "."),
        *(" It is 5 % of ", nodes.literal("", "5 %"), "."),
    )
    parts = [nodes.Text(part) if isinstance(part, str) else part for part in parts]
    paragraph = nodes.paragraph("", "", *parts)
    document = new_document("")
    document += paragraph
    text = paragraph.astext()
    Unbroken(document).run()
    assert paragraph.astext() == text.replace("5 %", "5\u00a0%", 1)
    assert [one.astext() for one in paragraph.findall(nodes.inline)] == ["f,", "(g),", "h."]
