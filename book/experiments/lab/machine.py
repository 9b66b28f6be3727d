"""What a measured figure depends on, to stand beside it."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def machine(libraries):
    """The processor, and the version of Python and of each library that is installed: a dict."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    found = {"processor": name, "python": platform.python_version()}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
