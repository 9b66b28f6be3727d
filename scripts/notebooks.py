"""Execute notebooks in place and store their outputs, the same bytes each time.

    python scripts/notebooks.py [book/algorithm/forward.ipynb ...]

Without arguments it takes every notebook under book/. A file is written only
where its bytes change. The metadata of each notebook keep a fingerprint of its
code and outputs, so that a stored output cannot be changed by hand.
"""

import hashlib
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 60  # seconds that a page may take
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
# One thread, and nothing from the home folder of whoever runs it.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
FOLDERS = (
    "IPYTHONDIR",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "MPLCONFIGDIR",
)


def fingerprint(notebook):
    """The sha256 of all code and all stored outputs, images included."""
    cells = [
        [cell.id, cell.source, cell.execution_count, cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    text = json.dumps(cells, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def joined(outputs):
    """Outputs with neighbouring pieces of one stream joined: how a stream is cut is chance."""
    result = []
    for output in outputs:
        before = result[-1] if result else None
        if (
            before is not None
            and output.output_type == before.output_type == "stream"
            and output.name == before.name
        ):
            before.text += output.text
        else:
            result.append(output)
    return result


def normalize(notebook):
    """Drop what depends on who ran the notebook, and when; add the fingerprint."""
    for cell in notebook.cells:
        for key in ("execution", "ExecuteTime", "collapsed", "jupyter", "trusted"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    notebook.metadata = nbformat.from_dict(
        METADATA | {"companion": {"sha256": fingerprint(notebook)}}
    )
    return notebook


def execute(path):
    """Run one notebook in the kernel of this environment; return the notebook."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=10 * LIMIT,
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=40"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    return notebook


def run(path):
    """Execute one notebook and store it; return a line for the reader and success."""
    start = time.perf_counter()
    try:
        text = nbformat.writes(normalize(execute(path)), version=4) + "\n"
    except Exception as error:
        return f"failed     {path.relative_to(ROOT)}\n{error}", False
    seconds = time.perf_counter() - start
    changed = text != path.read_text(encoding="utf-8")
    if changed:
        path.write_text(text, encoding="utf-8", newline="\n")
    line = f"{'stored    ' if changed else 'unchanged '} {path.relative_to(ROOT)}  {seconds:.0f} s"
    return line + (f"  (more than {LIMIT} s)" if seconds > LIMIT else ""), True


def notebooks():
    """Every notebook of the book."""
    return sorted(
        path for path in (ROOT / "book").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
    )


def main(arguments):
    paths = [Path(argument).resolve() for argument in arguments] or notebooks()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(ONE_THREAD, PYTHONHASHSEED="0", JUPYTER_NO_CONFIG="1")
        os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
        os.environ.pop("JUPYTER_PATH", None)
        os.environ.update({name: str(Path(folder, name.lower())) for name in FOLDERS})
        os.environ.pop("MPLBACKEND", None)
        with ProcessPoolExecutor(max_workers=min(2, len(paths) or 1)) as pool:
            success = True
            for line, fine in pool.map(run, paths):
                print(line, flush=True)
                success = success and fine
    return 0 if success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
