"""Make companion/data/asterisk_digits.npz from the English sounds of Asterisk.

    apt download asterisk-core-sounds-en-wav && dpkg-deb -x asterisk-core-sounds-en-wav_*.deb sounds
    python scripts/asterisk_digits.py sounds/usr/share/asterisk/sounds/en_US_f_Allison/digits

The samples are those of the files, not one of them changed.
"""

import sys
import wave
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parent.parent / "companion" / "data" / "asterisk_digits.npz"


def main(folder):
    arrays = {}
    for digit in range(10):
        with wave.open(str(Path(folder, f"{digit}.wav"))) as file:
            assert file.getparams()[:3] == (1, 2, 8000), file.getparams()
            arrays[str(digit)] = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.savez_compressed(TARGET, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
