"""Figures that compute in the page.

An element of the class computed-NAME, such as a figure with the option `:figclass: computed-cell`,
is the still twin of book/_figures/NAME.mjs: without JavaScript and in print it stands as it is, and
else that module draws in its place once it comes near the screen. Pages without such an element
load nothing.
"""

import base64
import re
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError

SOURCE = Path(__file__).parent.parent / "_figures"
FOLDER = "figures"  # below _static of the site
PREFIX = "computed-"
IMPORT = re.compile(r'^import \{([^}]+)\} from "\./([\w-]+)\.mjs";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.MULTILINE)


def bundle(name):
    """The module NAME.mjs and all that it imports as one classic script, which names its result.

    A page that was opened from a folder may not import a module. Each one becomes a function that
    returns what it exports, and stands in the script once, after those that it imports.
    """
    scripts = {}

    def add(module):
        if module in scripts:
            return
        source = (SOURCE / f"{module}.mjs").read_text(encoding="utf-8")
        for _, imported in IMPORT.findall(source):
            add(imported)
        body = IMPORT.sub(lambda found: f"const {{{found[1]}}} = {result(found[2])};\n", source)
        body = EXPORT.sub("", body)
        offers = ", ".join(EXPORT.findall(source))
        scripts[module] = (
            f"const {result(module)} = (() => {{\n{body}return {{ {offers} }};\n}})();\n"
        )

    add(name)
    return "".join(scripts.values())


def result(module):
    """What a bundle calls the exports of a module."""
    return "of_" + module.replace("-", "_")


def figure(name):
    """The script of one figure: it hands its function `draw` to wake.js."""
    given = f'window.computed.given["{name}"] = {result(name)}.draw;\n'
    return f'(() => {{\n"use strict";\n{bundle(name)}{given}}})();\n'


def data(path):
    """A file of numbers as a script, which hands it over in base64: a folder has no fetch."""
    text = base64.b64encode(path.read_bytes()).decode()
    return f'window.computed.given["{path.name}"] = "{text}";\n'


def figures():
    """Names of the modules that draw a figure."""
    found = sorted(SOURCE.glob("*.mjs"))
    return [path.stem for path in found if "draw" in EXPORT.findall(path.read_text("utf-8"))]


def write(app):
    """Put the scripts where pages find them, before pages refer to them."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for path in SOURCE.iterdir():
        if path.is_file() and path.suffix != ".mjs":
            (target / path.name).write_bytes(path.read_bytes())
    for name in figures():
        (target / f"{name}.js").write_text(figure(name), encoding="utf-8")
    for path in (SOURCE / "data").glob("*"):
        (target / f"{path.name}.js").write_text(data(path), encoding="utf-8")


def computed_in(doctree):
    """Names of the figures of a page."""
    classes = {one for node in doctree.findall(nodes.Element) for one in node.get("classes", ())}
    return {one.removeprefix(PREFIX) for one in classes if one.startswith(PREFIX)}


def load(app, pagename, templatename, context, doctree):
    """Load what wakes the figures on the pages that have some."""
    found = computed_in(doctree) if doctree else set()
    if unknown := found - set(figures()):
        raise ExtensionError(f"{pagename}: no figure book/_figures/{min(unknown)}.mjs")
    if found:
        app.add_css_file(f"{FOLDER}/figures.css")
        python = Path(app.outdir) / "_static" / "pyodide"  # where offline_python puts it
        has = {"data-python": ""} if python.exists() else {}
        app.add_js_file(f"{FOLDER}/wake.js", loading_method="defer", **has)


def setup(app):
    app.connect("builder-inited", write)
    app.connect("html-page-context", load)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
