"""Where the files of a data set that may not come with the package lie."""

import os
from pathlib import Path


def data_folder(name: str, folder: str | os.PathLike | None = None) -> Path:
    """The folder of data set `name`: `folder` itself if it is given.

    Else a folder of that name in the one that the environment variable COMPANION_DATA names, or
    in ~/.cache/companion. A ~ at the beginning of a path stands for the home folder.
    Raises RuntimeError for a ~ where the system knows of no home folder.
    """
    if folder is None:
        folder = Path(os.environ.get("COMPANION_DATA") or "~/.cache/companion") / name
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        error.add_note("Let the environment variable COMPANION_DATA name a folder, without ~.")
        raise


def read(folder: Path, name: str) -> bytes:
    """The bytes of a file. Raises FileNotFoundError that says which file is wanted where."""
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be in the folder {folder}, which does not have it")
    return path.read_bytes()
