"""Serve Python itself from the site, for the page on which a reader's code is judged.

Pyodide is CPython for browsers. npm brings it, and the checksum says that it is the same
everywhere; where there is no npm or no network the site is built without it, and the page with
nothing that would not work.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from sphinx.errors import ExtensionError
from sphinx.util import logging

VERSION = "0.27.7"
SHA256 = "89d5d952675eb08e11286e52c7238f1248ce71726e896db9703e73bef23dc343"
# The core: no NumPy. Licence: MPL 2.0.
PARTS = (
    "pyodide.js",
    "pyodide.asm.js",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
CACHE = Path(__file__).parents[2] / ".cache" / "pyodide"


def archive():
    """The package as npm keeps it, or None where it cannot be had."""
    path = CACHE / f"pyodide-{VERSION}.tgz"
    if not path.exists():
        npm = shutil.which("npm")
        if npm is None:
            return None
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", f"pyodide@{VERSION}", "--silent", "--pack-destination", str(CACHE)]
        settings = {
            "npm_config_cache": str(CACHE / "npm"),
            "npm_config_fetch_retries": "0",
            "npm_config_update_notifier": "false",
        }
        done = subprocess.run(command, capture_output=True, env=os.environ | settings)
        if done.returncode != 0:
            return None
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        path.unlink()
        raise ExtensionError(f"{path.name} is not the file that it was: build again")
    return path


def copy_pyodide(app):
    """Copy what the page loads into the output."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "pyodide"
    if all((target / part).exists() for part in PARTS):
        return
    found = archive()
    if found is None:
        logging.getLogger(__name__).info("no npm or no network: built without the gradient judge")
        return
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(found) as package:
        for part in PARTS:
            with (
                package.extractfile(f"package/{part}") as source,
                (target / part).open("wb") as copy,
            ):
                shutil.copyfileobj(source, copy)


def setup(app):
    app.connect("builder-inited", copy_pyodide)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
