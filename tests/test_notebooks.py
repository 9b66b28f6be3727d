"""The rules that every notebook keeps. That the outputs are true is nbval's part."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("notebooks", ROOT / "scripts" / "notebooks.py")
executor = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(executor)

PATHS = executor.notebooks()
# A page of the appendix is for looking things up: it has no goals and no exercises.
SECTIONS = [path for path in PATHS if "appendix" not in path.parts]
HEADINGS = ["Recap", "Exercises", "Sources"]
COLLAPSED = {"hide-input", "hide-cell", "remove-input"}
COLUMNS = 77  # what the box of code shows on a desktop
WORDS = 3100  # of Markdown, about 25 minutes
IMAGES = ("image/png", "image/svg+xml", "image/jpeg")


def name(path):
    return str(path.relative_to(ROOT))


@pytest.fixture(params=PATHS, ids=name)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


@pytest.fixture(params=SECTIONS, ids=name)
def section(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_outputs_are_those_that_were_stored(notebook):
    kept = notebook.metadata.get("companion", {}).get("sha256")
    assert kept == executor.fingerprint(notebook), (
        "code or outputs were changed after the last run: run `make notebooks`"
    )


def test_onnx_runtime_sends_no_reports(notebook):
    lines = "\n".join(cell.source for cell in code(notebook)).splitlines()
    if "import onnxruntime" in lines:
        told = [line.startswith('environ["ORT_DISABLE_TELEMETRY"] = "1"') for line in lines]
        assert told.index(True) < lines.index("import onnxruntime")


def test_metadata_depend_on_nobody(notebook):
    expected = dict(executor.METADATA, companion=notebook.metadata.get("companion"))
    assert notebook.metadata == expected, "run `make notebooks`"
    assert all("execution" not in cell.metadata for cell in notebook.cells)


def test_a_changed_digit_changes_the_fingerprint(notebook):
    before = executor.fingerprint(notebook)
    for cell in code(notebook):
        for output in cell.outputs:
            fields = output.get("data", output)
            for key in ("text", "text/plain", *IMAGES):
                if key in fields:
                    fields[key] = str(fields[key]) + "1"
                    assert executor.fingerprint(notebook) != before
                    return
    pytest.fail("the notebook shows nothing")


def test_cell_ids_are_stable_names(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    random = [name for name in ids if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f-]+)?", name)]
    assert not random, f"give these cells a readable id: {random}"


def test_every_code_cell_was_run_in_order_without_error(notebook):
    assert [cell.execution_count for cell in code(notebook)] == list(
        range(1, len(code(notebook)) + 1)
    )
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    stderr = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not stderr, f"a page shows no warning: {stderr}"


def test_no_cell_shows_what_a_plotting_call_returned(notebook):
    """Such as "[Text(0.5, 0, 'seconds')]" above a figure; assign it to _."""
    shown = [
        output.data.get("text/plain", "")
        for cell in code(notebook)
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    assert not [text for text in shown if re.match(r"<matplotlib|[\[(]?(<matplotlib|Text\()", text)]


def test_page_claims_something_that_is_asserted(notebook):
    assert any(re.search(r"^\s*assert\b", cell.source, re.M) for cell in code(notebook))


def test_page_opens_with_goals_and_closes_with_recap_exercises_sources(section):
    text = prose(section)
    assert text.startswith("# "), "the page opens with its title"
    first_heading = re.search(r"^## ", text, re.M)
    assert first_heading, "the page has sections"
    opening = text[: first_heading.start()].lower()
    assert "goals" in opening or "you will be able" in opening or "you can" in opening, (
        "what the reader will be able to do stands above the first section"
    )
    found = re.findall(r"^## (.+?)\s*$", text, re.M)
    assert found[-3:] == HEADINGS, f"the last three sections are {HEADINGS}, not {found[-3:]}"


def test_page_has_exercises_each_with_a_solution(section):
    text = prose(section)
    labels = re.findall(r"[`:]{3,}\s*\{exercise(?:-start)?\}[^`]*?:label:\s*(\S+)", text)
    solved = re.findall(r"[`:]{3,}\s*\{solution(?:-start)?\}\s*(\S+)", text)
    assert 2 <= len(labels) <= 4, f"{len(labels)} exercises"
    assert set(labels) == set(solved)


def test_code_imports_names_and_installs_nothing(notebook):
    for cell in code(notebook):
        assert not re.search(r"import \*|^\s*[!%]|sys\.path", cell.source, re.M), cell.id


def test_code_is_no_wider_than_its_box(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            widest = max(cell.source.split("\n"), key=len)
            assert len(widest) <= COLUMNS, f"{cell.id}: {widest}"


def test_the_cell_of_imports_is_collapsed(notebook):
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert COLLAPSED & set(first.metadata.get("tags", [])), first.id


def test_a_page_runs_wherever_the_package_is_installed(notebook):
    """It reads nothing that lies beside it."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not re.search(r"\.\./|\bPath\(|\bopen\(|import os\b", cell.source), cell.id


def test_a_picture_stands_on_the_first_screen(section):
    """Before the first section, with little above it: nothing that is folded counts."""
    above = 0
    for cell in section.cells:
        if cell.cell_type == "markdown":
            text, figure, _ = cell.source.partition("{figure}")
            above += len(text.split("\n## ")[0].split())
            assert "\n## " not in "\n" + text, f"{cell.id}: a section before the first picture"
        else:
            figure = any(image in out.get("data", {}) for out in cell.outputs for image in IMAGES)
            above += 0 if COLLAPSED & set(cell.metadata.get("tags", [])) else 1000
        if figure:
            break
    assert figure and above <= 200


def test_a_page_is_read_in_one_sitting(section):
    words = sum(len(c.source.split()) for c in section.cells if c.cell_type == "markdown")
    assert words <= WORDS


def test_images_are_described(notebook):
    for cell in code(notebook):
        images = [kind for out in cell.outputs for kind in out.get("data", {}) if kind in IMAGES]
        if images:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 5, f"{cell.id}: describe what one sees, in mystnb.image.alt"


def test_images_name_no_version(notebook):
    import base64

    for cell in code(notebook):
        for output in cell.outputs:
            picture = base64.b64decode(output.get("data", {}).get("image/png", ""))
            assert b"Software" not in picture, f"{cell.id}: the image names who drew it"
            vector = output.get("data", {}).get("image/svg+xml", "")
            assert "<dc:date>" not in vector and "matplotlib.org" not in vector, cell.id
