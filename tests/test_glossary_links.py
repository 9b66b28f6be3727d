"""Words of a glossary are linked where a page first mentions them."""

import subprocess
import sys
from pathlib import Path

from bs4 import BeautifulSoup

EXTENSIONS = Path(__file__).parents[1] / "book" / "_ext"
GLOSSARY = """# Words

```{glossary}
gate
  A number between 0 and 1, such as $f_t$ ([](page.md)). It multiplies another one.

forget gate
  The {term}`gate` that erases. The cell is the place for it.

cell
block
  One step.

Newton's method
  An iteration.

loss
  What is made small.
```

```{toctree}
page
```
"""
PAGE = """# A gate in a heading

- The Forget gates of a `gate` are open; a forget gate, $gate$, [a gate](page.md) and a gate-like
  Newton's method of a mini-cell.

```{figure} cell.svg
The cell of a caption.

A cell of a legend.
```

| a cell |
|---|
| a cell |

```{note}
This {term}`loss` is linked, and this loss is not; a cell in a note is.
```

An open gate is no block.
"""
CHINESE = {
    "gate": "门",
    "forget gate": "遗忘门",
    "The {term}`gate` that erases. The cell is the place for it.": "擦除的{term}`门`。它在细胞里。",
    "An open gate is no block.": "打开LSTM的遗忘门，再打开门和遗忘门。",
}


def built(folder, page=PAGE, **settings):
    """The links to the glossary on a page: what they say, where they lead, what is their title."""
    source = folder / "source"
    source.mkdir()
    (source / "index.md").write_text(GLOSSARY)
    (source / "page.md").write_text(page)
    (source / "cell.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    settings["extensions"] = ["myst_parser", "glossary_links"]
    settings["myst_enable_extensions"] = ["dollarmath"]
    configuration = [f"{name} = {value!r}" for name, value in settings.items()]
    path = f"import sys; sys.path.append({str(EXTENSIONS)!r})"
    (source / "conf.py").write_text("\n".join([path, *configuration]))
    return links(folder)


def links(folder):
    command = [sys.executable, "-m", "sphinx", "-Wq", str(folder / "source"), str(folder / "html")]
    subprocess.run(command, check=True)
    page = BeautifulSoup((folder / "html" / "page.html").read_text(), "html.parser")
    return [
        (link.get_text(), link["href"].split("#")[1], link["title"])
        for link in page.select("a.glossary-word")
    ]


def test_first_mention_in_prose_is_linked_once(tmp_path):
    assert built(tmp_path) == [
        ("Forget gates", "term-forget-gate", "The gate that erases."),
        ("Newton’s method", "term-Newton-s-method", "An iteration."),
        ("loss", "term-loss", "What is made small."),
        ("cell", "term-cell", "One step."),
        ("gate", "term-gate", "A number between 0 and 1, such as f_t."),
    ]


def test_words_that_are_no_mentions_are_left_alone(tmp_path):
    found = built(tmp_path, glossary_no_mentions=["cell", "Forget gates of"])
    assert [text for text, *_ in found] == ["forget gate", "Newton’s method", "loss", "gate"]


def test_pages_follow_a_changed_glossary(tmp_path):
    assert ("cell", "term-cell", "One step.") in built(tmp_path)
    (tmp_path / "source" / "index.md").write_text(GLOSSARY.replace("One step", "A step"))
    assert ("cell", "term-cell", "A step.") in links(tmp_path)


def test_a_translated_glossary_links_its_own_words(tmp_path):
    catalogue = tmp_path / "locale" / "zh_CN" / "LC_MESSAGES"
    catalogue.mkdir(parents=True)
    entries = ((one, other) for one, other in CHINESE.items())
    text = "".join(f'\nmsgid "{one}"\nmsgstr "{other}"\n' for one, other in entries)
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n'
    for name in ("index", "page"):
        (catalogue / f"{name}.po").write_text(head + text, encoding="utf-8")
    page = "# Page\n\nAn open gate is no block.\n"
    found = built(tmp_path, page, language="zh_CN", locale_dirs=[str(tmp_path / "locale")])
    assert [(text, name) for text, name, _ in found] == [
        ("遗忘门", "term-forget-gate"),
        ("门", "term-gate"),
    ]
    assert found[0][2] == "擦除的门。"
