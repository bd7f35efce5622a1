"""Where a full data set is looked for, and where it comes from when it is nowhere."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import readers
from .download import Remote, download
from .readers import Split


class Source(NamedTuple):
    """What identifies a data set.

    Attributes:
        name: Module name.
        archive: Name of its .npz file.
        folder: Name of the folder of its IDX files.
        opening: First ten training labels; they tell sets with equal file names apart.
        remotes: Files to download, with their paths below the cache folder.
        package: Another way to get it, for the error message.
    """

    name: str
    archive: str
    folder: str
    opening: tuple[int, ...]
    remotes: tuple[Remote, ...]
    package: str

    @property
    def tag(self) -> str:
        return f"datasets.{self.name}"


def cache_folder() -> Path:
    """Returns the folder that downloads go to, ~/.cache/lamina."""
    return Path.home() / ".cache" / "lamina"


def roots() -> list[Path]:
    """Returns the folders searched: $LAMINA_DATA, Lamina's cache, Keras' cache, Debian's data folder."""
    given = os.environ.get("LAMINA_DATA")
    own = [Path(given).expanduser()] if given else []
    return [*own, cache_folder(), Path.home() / ".keras" / "datasets", Path("/usr/share/datasets")]


def load(source: Source, archive: str | None = None) -> tuple[Split, Split]:
    """Finds or downloads a data set and reads it.

    Args:
        source: The data set.
        archive: Another file name, or an absolute path, of its .npz.

    Raises:
        FileNotFoundError: When it is nowhere and cannot be downloaded; the message says how to provide it.
        ValueError: When a file is damaged.
    """
    name = archive or source.archive
    if Path(name).is_absolute():
        if not Path(name).is_file():
            raise FileNotFoundError(
                f"[{source.tag}] there is no such file; expected an .npz archive. Received: path={name!r}."
            )
        return readers.read_npz(Path(name), source.tag)
    found = _find(source, name)
    if found is None:
        _download(source)
        found = _find(source, source.archive)
    if found is None:
        raise FileNotFoundError(
            f"[{source.tag}] the download is gone again from {cache_folder()}. Call load_data again."
        )
    return found()


def _find(source: Source, archive: str) -> Callable[[], tuple[Split, Split]] | None:
    """Returns the reader of the first place that holds the set."""
    for root in roots():
        if (root / archive).is_file():
            return lambda path=root / archive: readers.read_npz(path, source.tag)  # type: ignore[misc]
        for folder in (root / source.folder, root / source.name, root):
            if _holds_idx(folder, source):
                return lambda folder=folder: readers.read_idx_folder(folder, source.tag)  # type: ignore[misc]
    return None


def _holds_idx(folder: Path, source: Source) -> bool:
    """Whether a folder has this set's IDX files: both sets use the same names, the labels decide."""
    if any(readers.idx_file(folder, name) is None for name in readers.IDX_FILES):
        return False
    labels = readers.idx_file(folder, "train-labels-idx1-ubyte")
    start = readers.idx_bytes(labels, source.tag, limit=8 + len(source.opening)) if labels else b""
    return tuple(start[8:]) == source.opening or folder.name in (source.folder, source.name)


def _download(source: Source) -> None:
    try:
        for remote in source.remotes:
            download(remote, cache_folder() / remote.path, source.tag)
    except OSError as error:
        given = os.environ.get("LAMINA_DATA")
        absent = " (no such folder)" if given and not Path(given).expanduser().is_dir() else ""
        raise FileNotFoundError(
            f"[{source.tag}] the data set is not on this machine and could not be downloaded; expected "
            f"{source.archive} or the four IDX files. Received: LAMINA_DATA={given!r}{absent}, "
            f"cache={str(cache_folder())!r}, download error={error}. Provide it in one of three ways: "
            f"(1) set LAMINA_DATA to a folder that holds {source.archive} or {source.folder}/ "
            "with the IDX files; "
            f"(2) put the same into {cache_folder()}; (3) {source.package}. "
            "datasets.digits.load_data(size=28) and datasets.fashion_mnist.load_sample() need no file."
        ) from error
