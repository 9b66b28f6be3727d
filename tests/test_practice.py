"""The program of the page on practice: it runs as a file, and is what the page explains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).resolve().parent.parent / "book" / "practice"
PROGRAM = FOLDER / "train.py"


def call(*words):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, str(PROGRAM), *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, timeout=240, text=True)


def run(*words):
    """What the program prints."""
    done = call(*words)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Three epochs, twice: at once, and stopped after two and gone on from the checkpoint."""
    folder = tmp_path_factory.mktemp("practice")
    whole = run("--epochs", 3, "--save", folder / "whole.pt")
    run("--epochs", 2, "--checkpoint", folder / "run.pt")
    words = ("--epochs", 3, "--checkpoint", folder / "run.pt", "--save", folder / "resumed.pt")
    return folder, whole, run(*words)


def test_it_learns_saves_and_goes_on_from_a_checkpoint(outcome):
    folder, whole, resumed = outcome
    assert whole == resumed
    # After three epochs: 9 classes, the most frequent 24 % of the test.
    assert float(whole.split("accuracy ")[1]) > 0.3
    assert float(whole.split()[1].strip(",")) < 2.0
    first, second = (
        torch.load(folder / name, weights_only=True) for name in ("whole.pt", "resumed.pt")
    )
    assert first["lstm.weight_ih_l0"].shape == (80, 12) and first["fc.weight"].shape == (9, 20)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_reads_the_checkpoint(outcome):
    """Fewer epochs than it holds are refused: whoever starts anew would not notice."""
    done = call("--epochs", 1, "--checkpoint", outcome[0] / "run.pt")
    assert done.returncode and "ValueError" in done.stderr, done.stderr


def test_it_is_short_and_the_page_explains_it_word_for_word():
    text = PROGRAM.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    cells = json.loads((FOLDER / "pytorch.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    parts = [source for source in sources if source.startswith("# train.py")]
    assert len(parts) == 3 and "\n\n\n".join(parts) in text
