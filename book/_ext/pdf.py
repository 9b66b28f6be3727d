"""The book as one PDF: what LaTeX gets beside the pages.

Parts and chapters come from the table of contents by sphinx_jupyterbook_latex, which also leaves
out the code that the site folds away. Here solutions move to the end, pages begin on a page of
their own, and parts are numbered where the site numbers them.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.builders.latex import LaTeXBuilder
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.images import get_image_size
from sphinx_exercise.nodes import is_exercise_node, solution_node

from companion import __version__

COLOR = re.compile(r"\\color\{#(\w{6})\}")
DRAWING = 640  # pixels of a drawing that has the width of the text
PREAMBLE = Path(__file__).parent.parent / "_latex" / "preamble.tex"


def latex(command):
    return nodes.raw("", command, format="latex")


class Arrange(SphinxPostTransform):
    """Order the book as it is printed."""

    default_priority = 800  # parts are there, and exercises have their numbers
    formats = ("latex",)

    def run(self):
        # sphinx_jupyterbook_latex moves children without telling them of their new parents.
        for node in list(self.document.findall(nodes.Element)):
            for child in node.children:
                child.parent = node
        self.config.numfig_secnum_depth = 2  # LaTeX counts the part as a level
        self.number_parts()
        self.begin_pages()
        self.gather_solutions()
        self.name_exercises()
        self.size_pictures()
        self.name_colors()

    def parts(self):
        """The section of each part, with its entry in the table of contents."""
        captions = {tree.caption: tree for tree in self.app.config.external_site_map.root.subtrees}
        for section in self.document.findall(nodes.section):
            if section.get("docname") in captions:  # sphinx_jupyterbook_latex names it so
                yield section, captions[section["docname"]]

    def number_parts(self):
        for section, tree in list(self.parts()):
            around = section.parent
            around.insert(around.index(section), latex(r"\unnumberedpart"))
            if tree.numbered:
                section.insert(1, latex(r"\numberedpart"))

    def begin_pages(self):
        """Begin each page of the site on a new one; the contents list pages alone."""
        for page in self.document.findall(addnodes.start_of_file):
            level = sum(isinstance(node, addnodes.start_of_file) for node in ancestors(page)) - 1
            page.insert(0, latex(rf"\beginpage{{{level}}}"))

    def gather_solutions(self):
        """Move the solutions, page by page, into a chapter before the last one, the references."""
        exercises = self.exercises()
        pages = {}
        for solution in list(self.document.findall(solution_node)):
            page = next(n for n in ancestors(solution) if isinstance(n, addnodes.start_of_file))
            name = page["docname"]
            exercise = exercises[solution["target_label"]]
            label = f"solution:{solution['label']}"
            exercise.append(latex(rf"\solutionat{{{label}}}"))
            solution.parent.remove(solution)
            # No box as for an exercise: it could not break between pages within code.
            link = latex(rf"\exerciseat{{{label}}}{{{exercise['label']}}}{{{title_of(exercise)}}}")
            pages.setdefault(name, []).extend([link, *solution[1:]])
        chapter = nodes.section("", nodes.title("", "Solutions"), ids=["solutions"])
        for name, content in pages.items():
            chapter.append(nodes.section("", self.heading(name), *content, ids=[f"of-{name}"]))
        *_, last = self.document.findall(addnodes.start_of_file)
        last.parent.insert(last.parent.index(last), chapter)

    def exercises(self):
        return {node["label"]: node for node in self.document.findall(is_exercise_node)}

    def name_exercises(self):
        """Name an exercise where it is referred to: LaTeX does not count exercises."""
        exercises = self.exercises()
        for reference in list(self.document.findall(addnodes.number_reference)):
            label = reference.get("refuri", "").partition("#")[2]
            if label in exercises:
                name = title_of(exercises[label])
                reference.replace_self(latex(rf"\hyperref[exercise:{label}]{{{name}}}"))

    def size_pictures(self):
        """Give pictures the size that they have on the site: plots have two pixels for one."""
        for picture in self.document.findall(nodes.image):
            size = get_image_size(Path(self.env.srcdir, picture["uri"]))
            picture.setdefault("width", f"{size[0] // 2 if size else DRAWING}px")

    def name_colors(self):
        """Colors of formulas, which MathJax reads as HTML writes them."""
        for kind in (nodes.math, nodes.math_block):
            for formula in self.document.findall(kind):
                formula[:] = [nodes.Text(COLOR.sub(as_latex, formula.astext()))]

    def heading(self, page):
        """The title of a page with its number on the site."""
        number = ".".join(map(str, self.env.toc_secnumbers.get(page, {}).get("", ())))
        return nodes.title("", f"{number} {self.env.titles[page].astext()}".strip())


def as_latex(color):
    return rf"\color[HTML]{{{color[1].upper()}}}"


def title_of(exercise):
    return exercise.next_node(nodes.title).astext()


def ancestors(node):
    while node.parent is not None:
        node = node.parent
        yield node


def set_up(app, config):
    """Our settings, in place of those of sphinx_jupyterbook_latex."""
    config.release = __version__
    config.latex_theme = "manual"
    config.latex_elements = {
        "papersize": "a4paper",
        "extraclassoptions": "oneside,openany",
        "pxunit": "0.6bp",
        "figure_align": "H",
        "releasename": "Version",
        "tableofcontents": r"\sphinxtableofcontents\markboth{}{}",
        "fncychap": "",
        "preamble": PREAMBLE.read_text(encoding="utf-8"),
    }


def prepare(app):
    if isinstance(app.builder, LaTeXBuilder):
        app.config.numfig_secnum_depth = 1  # numbers as on the site
        app.setup_extension("sphinxcontrib.rsvgconverter")


def setup(app):
    app.connect("config-inited", set_up, priority=900)
    app.connect("builder-inited", prepare, priority=900)
    app.add_post_transform(Arrange)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
