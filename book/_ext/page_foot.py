"""At the foot of each page: how to cite it, and what its notebook needs where it can be run.

`BOOK_REPOSITORY` holds the address of the repository, https://github.com/OWNER/NAME/tree/BRANCH.
The pages with code then have the theme's buttons for Binder and Colab; without it they have none.
"""

import os
import re
from pathlib import Path

import yaml
from sphinx.errors import ExtensionError

REPOSITORY = os.environ.get("BOOK_REPOSITORY", "")
ADDRESS = re.compile(r"(https://github\.com/[\w.-]+/[\w.-]+)/tree/([\w./-]+)")
CITATION = Path(__file__).parents[2] / "CITATION.cff"
TEX = re.compile(r"[&%$#_{}]")  # what BibTeX's titles want a backslash before
ENTRY = """@incollection{{{key},
  author = {{{authors}}},
  title = {{{{{title}}}}},
  booktitle = {{{{{book}}}}},
  year = {{{year}}},
  note = {{Version {version}}},{url}
}}"""


def offer_buttons(app, config):
    if REPOSITORY:
        found = ADDRESS.fullmatch(REPOSITORY)
        if found is None:
            raise ExtensionError(
                f"BOOK_REPOSITORY is {REPOSITORY!r}, not https://github.com/OWNER/NAME/tree/BRANCH"
            )
        config.html_theme_options["repository_url"] = found[1]
        config.html_theme_options["repository_branch"] = found[2]
        config.html_theme_options["launch_buttons"] = {
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
            "notebook_interface": "jupyterlab",
        }


def person(author):
    return author.get("name") or f"{author['given-names']} {author['family-names']}"


def citation(app, pagename):
    """What the template page-foot.html says of a page, from CITATION.cff."""
    work = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    base = app.config.html_baseurl
    address = base and f"{base}{app.builder.get_target_uri(pagename)}"
    authors = [person(author) for author in work["authors"]]
    said = {
        "authors": ", ".join(authors),
        "title": app.env.titles[pagename].astext(),
        "book": work["title"],
        "year": app.config.copyright,
        "version": work["version"],
        "address": address,
    }
    quoted = {name: TEX.sub(r"\\\g<0>", text) for name, text in said.items()}
    # In braces a name is not taken apart, which a group's must not be.
    quoted["authors"] = " and ".join(f"{{{author}}}" for author in authors)
    quoted["key"] = f"lstm-{pagename.removeprefix('book/').replace('/', '-')}"
    quoted["url"] = address and f"\n  url = {{{address}}},"
    return {**said, "bibtex": ENTRY.format(**quoted)}


def add_foot(app, pagename, templatename, context, doctree):
    if doctree is not None:
        context["citation"] = citation(app, pagename)
        if REPOSITORY and "kernelspec" in app.env.metadata[pagename]:
            address, branch = ADDRESS.fullmatch(REPOSITORY).groups()
            package = f"lstm-companion[notebooks] @ git+{address}@{branch}"
            context["install_line"] = f'%pip install "{package}"'


def setup(app):
    app.connect("config-inited", offer_buttons)
    app.connect("html-page-context", add_foot)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
