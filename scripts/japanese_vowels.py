"""Make companion/data/japanese_vowels.npz from the files of the Japanese Vowels data set.

    pip download --no-deps aeon==1.6.0 && unzip aeon-*.whl
    python scripts/japanese_vowels.py aeon/datasets/data/JapaneseVowels

The numbers are those of the files, which have six decimals, rounded to float32.
"""

import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parent.parent / "companion" / "data" / "japanese_vowels.npz"


def read(path):
    """The utterances of one .ts file, a list of arrays (T, 12), and their labels from 0."""
    lines = path.read_text(encoding="utf-8").split("@data\n")[1].splitlines()
    sequences, labels = [], []
    for line in lines:
        *columns, label = line.split(":")
        sequences.append(np.array([column.split(",") for column in columns], np.float32).T)
        labels.append(int(label) - 1)
    return sequences, labels


def main(folder):
    arrays = {}
    for split in ("train", "test"):
        sequences, labels = read(Path(folder, f"JapaneseVowels_{split.upper()}.ts"))
        arrays[f"{split}_frames"] = np.concatenate(sequences)
        arrays[f"{split}_lengths"] = np.array([len(x) for x in sequences], np.uint8)
        arrays[f"{split}_labels"] = np.array(labels, np.uint8)
    np.savez_compressed(TARGET, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
