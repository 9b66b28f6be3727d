"""Make pages light: what a reader need not wait for comes after what is read first."""

import re
import struct
from functools import cache
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

IMAGE = re.compile(r'<img (?![^>]*\bwidth=)([^>]*?\bsrc="(?:\.\./)*_images/([^"?]+)[^>]*?)\s*/?>')


@cache
def size(path):
    """Width and height of a PNG or SVG file in pixels."""
    if path.suffix == ".png":
        return struct.unpack(">II", path.read_bytes()[16:24])
    root = ElementTree.parse(path).getroot()
    return [round(float(number)) for number in root.get("viewBox").split()[2:]]


def light(app, pagename, templatename, context, doctree):
    for script in context["script_files"]:
        # The page's own lines of script look for the first of these.
        if script.filename and "documentation_options" not in script.filename:
            script.attributes["defer"] = "defer"

    sources = {name: source for source, name in app.builder.images.items()}
    images = iter(["eager"])

    def sized(match):
        # With its size an image has its place before it arrives; all but the first wait for
        # a reader who comes near.
        width, height = size(Path(app.srcdir) / sources[unquote(match[2])])
        loading = next(images, "lazy")
        return f'<img {match[1]} width="{width}" height="{height}" loading="{loading}" />'

    if "body" in context:
        context["body"] = IMAGE.sub(sized, context["body"])


def setup(app):
    app.connect("html-page-context", light)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
