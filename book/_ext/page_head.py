"""Give each page a description and the fields that link previews read."""

import os
from html import escape
from pathlib import Path

from docutils import nodes

ADDRESS = os.environ.get("BOOK_BASEURL", "")
CARD = "_static/card.png"
# What Jupyter Book would write names no icon: browsers then ask for one that is not there. This
# names an empty one, since the page is left before an icon arrives.
INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0; url={first}">
</head>
<body><p><a href="{first}">{title}</a></p></body>
</html>
"""


def describe(doctree, limit=200):
    """The first paragraph of a page that is prose, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        parent = paragraph.parent
        inside = False
        while parent is not None:
            inside = inside or isinstance(parent, (nodes.Admonition, nodes.container))
            parent = parent.parent
        text = " ".join(paragraph.astext().split())
        if inside or len(text) < 40 or any(paragraph.findall(nodes.math)):
            continue
        if len(text) <= limit:
            return text
        return text[:limit].rsplit(" ", 1)[0] + " …"
    return ""


def add_fields(app, pagename, templatename, context, doctree):
    if doctree is None:
        return
    book, base = app.config.html_title, app.config.html_baseurl
    title = app.env.titles[pagename].astext()
    summary = describe(doctree) or f"{title}: a page of {book}."
    fields = [
        ("property", "og:type", "article"),
        ("property", "og:site_name", book),
        ("property", "og:title", title),
        ("property", "og:description", summary),
        ("name", "twitter:card", "summary"),
    ]
    if 'name="description"' not in context.get("metatags", ""):
        fields.insert(0, ("name", "description", summary))
    if base:  # a preview needs whole addresses; only the publisher knows them
        fields.append(("property", "og:url", f"{base}{app.builder.get_target_uri(pagename)}"))
        fields.append(("property", "og:image", f"{base}{CARD}"))
        fields.append(("property", "og:image:alt", f"The title of the book: {book}"))
    tags = [f'<meta {kind}="{key}" content="{escape(value)}" />' for kind, key, value in fields]
    context["metatags"] = context.get("metatags", "") + "\n    ".join(["", *tags, ""])


def take_address(app, config):
    """The address of the published site comes from where it is published; it ends in a slash."""
    config.html_baseurl = ADDRESS and f"{ADDRESS.rstrip('/')}/"


def list_pages(app, config):
    """The sitemap has one language and one version, and pages that are worth finding."""
    config.sitemap_url_scheme = "{link}"
    config.sitemap_excludes = ["genindex.html", "search.html", "_modules/*"]


def lead_on(app, exception):
    """The site's address leads on to the first page of the book."""
    if exception is None and app.builder.format == "html":
        first = app.builder.get_target_uri(app.config.root_doc)
        index = INDEX.format(title=escape(app.config.html_title), first=first)
        (Path(app.outdir) / "index.html").write_text(index, encoding="utf-8")


def setup(app):
    app.connect("config-inited", take_address)
    app.connect("html-page-context", add_fields)
    app.connect("build-finished", lead_on)
    if ADDRESS:  # without one a sitemap would list nothing that can be found
        app.setup_extension("sphinx_sitemap")
        app.connect("config-inited", list_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
