"""Search with Pagefind, which reads the built pages: on a server, and in a folder of files."""

import base64
import json
import subprocess
import sys
from pathlib import Path

# What a reader reads; code is left out, since an import would be the excerpt of every page.
READ = "article.bd-article"
LEFT_OUT = "pre, .headerlink, .toctree-wrapper, details.hide > summary"
# Interfaces that Pagefind brings along and that the template search.html does without.
UNUSED = ("*-ui.*", "pagefind-highlight.js", "wasm.unknown.pagefind")


def replace(app):
    """Sphinx makes no index of its own; its page for results stays, with another script."""
    if app.builder.format == "html":
        app.builder.search = False
        app.config.html_additional_pages = {"search": "search.html"}


def index(app, exception):
    if exception is not None or app.builder.format != "html":
        return
    options = {"site": app.outdir, "glob": "book/**/*.html", "root-selector": READ}
    options["exclude-selectors"] = LEFT_OUT
    command = [f"--{name}={value}" for name, value in options.items()]
    subprocess.run([sys.executable, "-m", "pagefind_bin", "--quiet", *command], check=True)
    folder = Path(app.outdir) / "pagefind"
    for pattern in UNUSED:
        for file in folder.glob(pattern):
            file.unlink()
    # A page from a folder may load a script beside it, but may not read any other file.
    files = {
        str(file.relative_to(folder)): base64.b64encode(file.read_bytes()).decode()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in ("files.js", "pagefind-worker.js")
    }
    (folder / "files.js").write_text(f"window.pagefindFiles = {json.dumps(files)};")


def setup(app):
    app.connect("builder-inited", replace)
    app.connect("build-finished", index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
