"""Link the first mention of each word of the glossary on a page to its entry.

The words are those of the glossary that is built, so that a translated book links its own. Only
running prose counts. A word that a page links itself, by the role `term`, counts as linked.
`glossary_no_mentions` in _config.yml lists what looks like a word of the glossary and often is
none; such words are left to that role.
"""

import re
from functools import cache

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

# In these nothing is linked.
ELSEWHERE = (
    nodes.citation,
    nodes.footnote,
    nodes.legend,
    nodes.literal,
    nodes.math,
    nodes.reference,
    nodes.table,
    addnodes.desc,
    addnodes.glossary,
    addnodes.pending_xref,
)
# Words end at what is no Latin letter, digit or hyphen; in other scripts they may stand together.
LETTER = r"[0-9A-Za-zÀ-ɏ_-]"
END = re.compile(r"(?<=[.!?])\s|(?<=[。！？])")


def entries(env):
    """Each word of the glossary with the page and the name of its entry."""
    objects = env.get_domain("std").objects.items()
    return {word: place for (kind, word), place in objects if kind == "term"}


@cache
def mention(env):
    """Words in the order of the groups of a pattern that finds them.

    A longer word goes first, and is no mention of the words in it. A word may start a sentence, and
    be a plural.
    """

    def spelled(word):
        first, rest = word[0], re.escape(word[1:]).replace(r"\ ", r"\s+").replace("'", "['’]")
        return f"([{first}{first.upper()}]{rest})"

    words = sorted({*entries(env), *env.config.glossary_no_mentions}, key=len, reverse=True)
    found = "|".join(map(spelled, words))
    return words, re.compile(f"(?<!{LETTER})(?:{found})(?:e?s)?(?!{LETTER})")


@cache
def meanings(env, page):
    """The first word and the first sentence of each entry on a page, by the names of its words.

    A sentence with a formula that plain text cannot show is None.
    """
    found = {}
    for item in env.get_doctree(page).findall(nodes.definition_list_item):
        meaning = next(item.findall(nodes.definition)).deepcopy()
        for link in list(meaning.findall(addnodes.pending_xref)):
            if link["refdomain"] == "cite":
                link.parent.remove(link)
        text = " ".join(END.split(meaning.astext())[0].split())
        text = re.sub(r"\s+(?=[.,;:])|\s\(\)", "", text)  # what was left around a link
        synonyms = list(item.findall(nodes.term))
        for term in synonyms:
            shown = None if "\\" in text else text
            found.update(dict.fromkeys(term["ids"], (synonyms[0].astext(), shown)))
    return found


class LinkWords(SphinxPostTransform):
    default_priority = 8  # before Sphinx resolves the role `term`, which gives links no title
    formats = ("html",)

    def run(self, **options):
        self.entries = entries(self.env)
        self.linked = set(self.config.glossary_no_mentions)
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link["reftype"] == "term" and link["reftarget"] in self.entries:
                link.replace_self(self.link(link["reftarget"], link[0]))
        for prose in self.document.findall(nodes.paragraph):
            for text in list(prose.findall(nodes.Text)):
                if not is_elsewhere(text):
                    text.parent.replace(text, list(self.parts(text)))

    def entry(self, word):
        page, name = self.entries[word]
        return meanings(self.env, page)[name]

    def link(self, word, shown):
        first, meaning = self.entry(word)
        self.linked.add(first)
        page, name = self.entries[word]
        link = make_refnode(self.app.builder, self.env.docname, page, name, shown, meaning)
        link["classes"].append("glossary-word")
        return link

    def parts(self, text):
        """The text in pieces, some of them links."""
        words, pattern = mention(self.env)
        done = 0
        for found in pattern.finditer(text):
            word = words[found.lastindex - 1]
            if word not in self.linked and self.entry(word)[0] not in self.linked:
                yield nodes.Text(text[done : found.start()])
                yield self.link(word, nodes.inline("", found[0]))
                done = found.end()
        yield nodes.Text(text[done:])


def is_elsewhere(node):
    while node := node.parent:
        if isinstance(node, ELSEWHERE):
            return True
    return False


def read_anew(app, env, added, changed, removed):
    """Every page shows words of the glossary: where that changed, all are built anew."""
    pages = {page for page, name in entries(env).values()}
    return env.found_docs if pages & (changed | removed) else []


def setup(app):
    app.add_config_value("glossary_no_mentions", [], "env")
    app.add_post_transform(LinkWords)
    app.connect("env-get-outdated", read_anew)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
