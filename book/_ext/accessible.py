"""Mend what the theme and its parts leave hard to use with a screen reader.

The rest is in book/_templates (landmarks, names of buttons) and in
book/_static/book.css (contrast).
"""

import re

# A header that says nothing, as over a column of names, is no header.
NAMELESS = re.compile(r'<th class="head[^"]*"><p></p></th>')
# The title of a solution has the space before a link inside it, underlined.
SPACE_IN_LINK = re.compile(r"(Solution to)(<a [^>]*>) ")


def name_the_folds(build):
    """Name the buttons that unfold a chapter in the sidebar: they show an icon alone."""

    def build_named(*arguments, **options):
        contents = build(*arguments, **options)
        for fold in getattr(contents, "find_all", lambda name: [])("summary"):
            link = fold.find_parent("li").find("a")
            fold["aria-label"] = f"Pages of {link.get_text(' ', strip=True)}"
        return contents

    return build_named


def mend(app, pagename, templatename, context, doctree):
    if "generate_toctree_html" in context:
        context["generate_toctree_html"] = name_the_folds(context["generate_toctree_html"])
    if "citation-list" in context.get("body", ""):  # a list may hold list items alone
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
    if "body" in context:  # hidden code: the label would replace the words that are seen
        context["body"] = context["body"].replace(' aria-label="Toggle hidden content"', "")
        context["body"] = NAMELESS.sub("<td></td>", context["body"])
        context["body"] = SPACE_IN_LINK.sub(r"\1 \2", context["body"])


def setup(app):
    app.connect("html-page-context", mend, priority=900)  # after the theme's own
    return {"parallel_read_safe": True, "parallel_write_safe": True}
