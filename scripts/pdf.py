"""Typeset what Sphinx wrote for LaTeX, and judge the log: python scripts/pdf.py

A letter that no font has, and a reference that leads nowhere, are failures: TeX itself goes on
without a word. Lines that stick out of the margin are listed.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "_build" / "latex"
BOOK = ROOT / "_build" / "lstm-book.pdf"
OVER = 12  # points that a line may stick out unlisted: about two letters of code

GLYPH = re.compile(r"^Missing character: There is no (.+) in font (.+)!$", re.M)
REFERENCE = re.compile(r"^LaTeX Warning: (?:Hyper r|R)eference `(.+)' on page .*undefined", re.M)
WIDE = re.compile(r"^Overfull \\hbox \(([\d.]+)pt too wide\).* at lines? (\d+)", re.M)
ERROR = re.compile(r"^! .*(?:\n.*){0,8}?\nl\.\d+.*", re.M)


def failures(log):
    """What makes the PDF wrong, one line each, from the log of the last run."""
    glyphs = {f"no glyph for {letter} in {font}" for letter, font in GLYPH.findall(log)}
    references = {f"a reference leads nowhere: {label}" for label in REFERENCE.findall(log)}
    return sorted(glyphs) + sorted(references)


def sticking_out(log):
    """Lines of the TeX source whose text sticks out, with the points by which it does."""
    widest = {}
    for points, line in WIDE.findall(log):
        widest[int(line)] = max(float(points), widest.get(int(line), 0.0))
    return {line: points for line, points in sorted(widest.items()) if points > OVER}


def main():
    settings = {
        "LATEXOPTS": "-interaction=nonstopmode -halt-on-error",
        "LATEXMKOPTS": "-silent -xelatex",
        "max_print_line": "10000",  # else the log breaks its lines at column 79
    }
    done = subprocess.run(
        ["make", "--silent", "-C", SOURCE],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    log = (SOURCE / "lstm-book.log").read_text(encoding="utf-8", errors="replace")
    if done.returncode:
        sys.exit("\n".join(ERROR.findall(log)) or done.stdout + done.stderr)
    for line, points in sticking_out(log).items():
        print(f"_build/latex/lstm-book.tex:{line}: {points:.0f} points too wide")
    if wrong := failures(log):
        sys.exit("\n".join(wrong))
    shutil.copyfile(SOURCE / "lstm-book.pdf", BOOK)
    print(f"The book: {BOOK}")


if __name__ == "__main__":
    main()
