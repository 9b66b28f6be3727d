"""Let autodoc show what is written: docstrings in MyST Markdown, like the pages, and types."""

import ast
import inspect
import re
import sys
import textwrap

from docutils import nodes
from docutils.statemachine import StringList
from docutils.utils import new_document
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.ext.autodoc import _CLASS_NEW_BLACKLIST
from sphinx.ext.autodoc.mock import MockFinder, _MockObject
from sphinx.util.docutils import SphinxDirective

# "cell: an entry of CELLS." at the start or after another sentence, on its line or the next.
NAME = r"(?:[a-z]\w*|[A-Z])"
ARGUMENT = re.compile(rf"(\A|(?<=[.\n])[ \n])({NAME}(?:, {NAME})*): (?=\S)")
CLOSING = re.compile(r"^(?=(?:Returns|Raises|Sources?:) )", re.MULTILINE)


class Markdown(SphinxDirective):
    """A piece of Markdown in the reStructuredText that autodoc writes."""

    has_content = True

    def run(self):
        document = new_document(self.get_source_info()[0], self.state.document.settings)
        MystParser().parse("\n".join(self.content), document)
        return document.children


class Cells(SphinxDirective):
    """The table of all cells of the package."""

    def run(self):
        from companion import CELLS

        rows = ["| name | gates | states | peepholes |", "|---|---|---|---|"]
        for cell in CELLS.values():
            parts = (" ".join(names) for names in (cell.gates, cell.states, cell.peepholes))
            rows.append(f"| {cell.name} | {' | '.join(parts)} |")
        container = nodes.container()
        self.state.nested_parse(StringList(rows), self.content_offset, container)
        return container.children


def listed(text):
    """The text with a list item for each argument, and what comes after them apart."""

    def item(match):
        names = ", ".join(f"`{name}`" for name in match[2].split(", "))
        return "\n" * len(match[1]) + f"- {names}: "

    return CLOSING.sub("\n", ARGUMENT.sub(item, text))


def as_markdown(app, what, name, obj, options, lines):
    if any(lines):
        text = listed("\n".join(lines))
        lines[:] = [".. markdown::", "", *(f"   {line}" for line in text.splitlines()), ""]


def as_written(app, what, name, obj, options, signature, returns):
    """A signature with its types in the words of the source: Array, not numpy.ndarray."""
    makers = (obj.__init__, obj.__new__) if inspect.isclass(obj) else (obj,)
    makers = (inspect.unwrap(getattr(maker, "__func__", maker)) for maker in makers)
    function = next(filter(inspect.isfunction, makers), None)
    if function is None:
        return None
    if function.__code__.co_filename.startswith("<"):  # of a dataclass or NamedTuple
        # What a factory makes anew for everyone is shown as three dots.
        node = parsed(f"def made{signature.replace('<factory>', '...')}: ...")
        fields = [line for line in parsed(inspect.getsource(obj)).body if hasattr(line, "target")]
        types = {field.target.id: field.annotation for field in fields}
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = types[argument.arg]
    else:
        node = parsed(inspect.getsource(function))
        if what in ("class", "method"):
            node.args.args = node.args.args[1:]  # self
    returns = what != "class" and node.returns and ast.unparse(node.returns)
    return f"({ast.unparse(node.args)})", returns or None


def parsed(source):
    """The one function or class of a piece of source."""
    return ast.parse(textwrap.dedent(source)).body[0]


def leave_type(app, env, node, contnode):
    """A type in a signature that is described nowhere here stands as it is, without a warning."""
    in_signature = node.get("refdomain") == "py" and "refexplicit" not in node
    return contnode if in_signature else None


def stand_in(app, config):
    """Keep the stand-ins for the whole build, not just while autodoc imports a module.

    It looks for the source of classes that ours derive from, and would then import the real ones
    where they are installed: slowly, and with other defaults on the page.
    """
    sys.meta_path.insert(0, MockFinder(config.autodoc_mock_imports))


def called(self, *arguments, **options):
    """What a stand-in gives when called; a decorator gives the function, whose source is known."""
    decorates = arguments and inspect.isfunction(arguments[0])
    return arguments[0] if decorates else self.__class__()


def setup(app):
    _MockObject.__call__ = called
    _MockObject.__or__ = lambda self, other: self  # in annotations such as `Tensor | None`
    # A layer's arguments are those of its own constructor, not those of a stand-in's.
    _CLASS_NEW_BLACKLIST.append(f"{_MockObject.__module__}.{_MockObject.__qualname__}.__new__")
    app.add_directive("markdown", Markdown)
    app.add_directive("cells", Cells)
    app.connect("config-inited", stand_in)
    app.connect("autodoc-process-docstring", as_markdown)
    app.connect("autodoc-process-signature", as_written)
    app.connect("missing-reference", leave_type)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
