"""Pack the built site into one archive, the same bytes for the same site: python -m scripts.pack

It works from any static server, and from the folder that it is unpacked into.
"""

import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
ARCHIVE = ROOT / "_build" / "lstm-book.zip"
FOLDER = "lstm-book"  # that it unpacks into
DATE = (1980, 1, 1, 0, 0, 0)  # the first that the format has


def pack(site, archive):
    """Write all files of a folder, sorted and without their dates; what starts with a dot stays."""
    files = (path.relative_to(site) for path in site.rglob("*") if path.is_file())
    with ZipFile(archive, "w", ZIP_DEFLATED) as target:
        for file in sorted(files):
            if not any(part.startswith(".") for part in file.parts):
                entry = ZipInfo(f"{FOLDER}/{file.as_posix()}", DATE)
                entry.external_attr = 0o644 << 16
                target.writestr(entry, (site / file).read_bytes(), ZIP_DEFLATED)


if __name__ == "__main__":
    if not (SITE / "index.html").is_file():
        sys.exit("the book is not built: run `make book` first")
    pack(SITE, ARCHIVE)
    print(f"The site as one file: {ARCHIVE}")
