"""The examples that a reader copies, of the API reference and of README."""

import doctest
import re
from pathlib import Path

import pytest
import torch
from onnxruntime import InferenceSession

ROOT = Path(__file__).parents[1]


def blocks(page, language):
    """The pieces of code of a Markdown page, each with the number of its first line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text[: found.start(1)].count("\n"), found[1]


# How many examples each page of the reference has.
EXAMPLES = {"api": 2, "api-torch": 5, "api-data": 1, "api-models": 1}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_the_api_reference_give_what_stands_there(name):
    page, names = f"book/appendix/{name}.md", {}
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    sizes = []
    for line, text in blocks(page, "pycon"):
        example = doctest.DocTestParser().get_doctest(text, names, page, page, line)
        runner.run(example, clear_globs=False)
        names = example.globs
        sizes.append(len(example.examples))
    assert runner.summarize(verbose=False).failed == 0
    assert len(sizes) == EXAMPLES[name] and min(sizes) > 3


def test_examples_of_the_readme_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one writes a file
    names = {}
    for line, text in blocks("README.md", "python"):
        exec(compile("\n" * line + text, "README.md", "exec"), names)
    checked = capsys.readouterr().out
    assert "right" in checked and "WRONG" not in checked and names["y"].shape == (8, 30, 40)
    words = torch.randint(1000, (3, 7))
    (scores,) = InferenceSession("tagger.onnx").run(None, {"words": words.numpy()})
    wanted = names["model"](words).detach()
    torch.testing.assert_close(torch.from_numpy(scores), wanted, rtol=0, atol=3e-6)
