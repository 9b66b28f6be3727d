"""Set formulas while the book is built: pages hold them ready, and load no script for them."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number, wrap_displaymath
from sphinx.util.osutil import relative_uri

PARTS = (
    "loader",
    "core",
    "adaptors/liteDOM",
    "input/tex-full",
    "output/chtml",
    "output/chtml/fonts/tex",
    "a11y/assistive-mml",  # MathML beside each formula, for screen readers
)
FONTS = "output/chtml/fonts/woff-v2"
FONTS_HERE = "_static/mathjax"
CONFIG = "var global = globalThis; var MathJax = {startup: {ready() {}}};"
SETTER = """
const {liteAdaptor} = MathJax._.adaptors.liteAdaptor;
const adaptor = liteAdaptor();
const handler = MathJax._.handlers.html_ts.RegisterHTMLHandler(adaptor);
MathJax._.a11y["assistive-mml"].AssistiveMmlHandler(handler);
const input = new MathJax._.input.tex_ts.TeX({packages: ["base", "ams", "color"]});
const font = new MathJax._.output.chtml.fonts.tex_ts.TeXFont({fontURL: "FONTS"});
// In a browser MathJax makes its letters as high as those around: with x-heights of 0.50 to 0.53 em
// (Segoe UI, Arial, Roboto) it scales its own, of 0.44 em, by 1.13 to 1.20.
const output = new MathJax._.output.chtml_ts.CHTML({font, scale: 1.16});
const page = MathJax._.mathjax.mathjax.document("", {InputJax: input, OutputJax: output});
const set = (tex, display) => adaptor.outerHTML(page.convert(tex, {display}));
const styles = () => {
  const text = adaptor.textContent(output.styleSheet(page));
  output.clearCache();
  return text;
};
"""
logger = logging.getLogger(__name__)


def mathjax():
    """Where the package django-static-mathjax keeps its copy of MathJax 3."""
    spec = find_spec("mathjax")
    if spec is None or spec.origin is None:
        raise RuntimeError("MathJax is missing: pip install django-static-mathjax")
    return Path(spec.origin).parent / "static" / "mathjax" / "es5"


def read(part):
    return (mathjax() / f"{part}.js").read_text(encoding="utf-8")


class Setter:
    """MathJax in a JavaScript engine, which starts with the first formula."""

    engine = None

    def __call__(self, function, *arguments):
        if self.engine is None:
            self.engine = MiniRacer()
            for source in (CONFIG, *map(read, PARTS), SETTER):
                self.engine.eval(f"{source}\n0")  # a number is all that can come back of each
        return self.engine.eval(f"{function}({', '.join(map(json.dumps, arguments))})")


run = Setter()


def formula(node, tex, display):
    html = run("set", tex, display)
    if "data-mjx-error" in html:
        logger.warning("MathJax cannot set %s", tex, location=node)
    return html


def visit_inline(self, node):
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    self.body.append(f"{formula(node, node.astext(), False)}</span>")
    raise nodes.SkipNode


def visit_display(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span>")
    tex = node.astext()
    if not node["nowrap"]:
        tex = wrap_displaymath(tex, None, False)
    self.body.append(f"{formula(node, tex, True)}</div>\n")
    raise nodes.SkipNode


def add_styles(app, pagename, templatename, context, doctree):
    """A page gets the styles of the letters that it has."""
    if "<mjx-container" in context.get("body", ""):
        fonts = relative_uri(app.builder.get_target_uri(pagename), FONTS_HERE)
        styles = run("styles").replace("FONTS", fonts)
        context["metatags"] = f"{context.get('metatags', '')}\n<style>{styles}</style>"


def copy_fonts(app):
    if app.builder.format == "html":
        target = Path(app.outdir) / FONTS_HERE
        shutil.copytree(mathjax() / FONTS, target, dirs_exist_ok=True)


def choose(app, config):
    config.html_math_renderer = "set"


def setup(app):
    app.add_html_math_renderer("set", (visit_inline, None), (visit_display, None))
    app.connect("config-inited", choose)
    app.connect("builder-inited", copy_fonts)
    app.connect("html-page-context", add_styles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
