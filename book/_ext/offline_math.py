"""Serve MathJax from the site itself, so that no page asks another host for it."""

import shutil
from importlib.util import find_spec
from pathlib import Path

# tex-chtml.js holds the TeX input and the HTML output; the fonts and the TeX
# extensions (such as color) are fetched by it when a page needs them.
PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")


def mathjax_folder():
    """Where the package django-static-mathjax keeps its copy of MathJax 3."""
    spec = find_spec("mathjax")
    if spec is None or spec.origin is None:
        raise RuntimeError("MathJax is missing: pip install django-static-mathjax")
    return Path(spec.origin).parent / "static" / "mathjax" / "es5"


def copy_mathjax(app):
    """Copy what the pages load into the output, before pages refer to it."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "mathjax"
    for part in PARTS:
        source, copy = mathjax_folder() / part, target / part
        if copy.exists():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copyfile(source, copy)


def setup(app):
    app.connect("config-inited", set_path)
    app.connect("builder-inited", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def set_path(app, config):
    """Point the math extension at the copy; the menu offers nothing from outside."""
    config.mathjax_path = "mathjax/tex-chtml.js"
    mathjax = dict(config.mathjax3_config or {})
    # The menu's accessibility explorer would be fetched from the MathJax
    # folder; screen readers get the MathML that stands beside each formula.
    options = dict(mathjax.get("options", {}))
    options["enableMenu"] = False
    mathjax["options"] = options
    config.mathjax3_config = mathjax
