"""Reading image sets, checked: .npz with the four Keras arrays, and folders of the four IDX files."""

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np

Split = tuple[np.ndarray, np.ndarray]

KEYS = ("x_train", "y_train", "x_test", "y_test")
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_MAX_BYTES = 1 << 30  # of one array: a damaged header must not ask for all memory


def damaged(path: Path, what: str, where: str) -> ValueError:
    """The error for a file that cannot be used."""
    return ValueError(
        f"[{where}] the file is damaged or not this data set: {what}. Received: file={path}. "
        "Delete or replace it; a file in the cache folder is then downloaded again."
    )


def read_npz(path: Path, where: str) -> tuple[Split, Split]:
    """Reads ((x_train, y_train), (x_test, y_test)): x uint8 [n, 28, 28], y uint8 [n]. Pickles are refused."""
    import zipfile  # at first use: the import of the package stays light

    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            names = [f"{key}.npy" for key in KEYS]
            if not sizes.keys() >= set(names):
                found = sorted(name.removesuffix(".npy") for name in sizes)
                raise damaged(path, f"expected arrays {list(KEYS)}, found {found}", where)
            large = max(sizes[name] for name in names)
            if large > _MAX_BYTES:
                raise damaged(path, f"expected arrays of at most {_MAX_BYTES} bytes, found {large}", where)
            contents = [archive.read(name) for name in names]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise damaged(path, f"it cannot be read ({error})", where) from error
    arrays = {key: _parse_npy(data, path, where) for key, data in zip(KEYS, contents)}
    return _checked(arrays, path, where)


def read_idx_folder(folder: Path, where: str) -> tuple[Split, Split]:
    """Reads the four IDX files of a folder, each raw or .gz, in the same form as `read_npz`."""
    parts = []
    for name in IDX_FILES:
        path = idx_file(folder, name)
        if path is None:
            raise damaged(folder, f"expected the four files {list(IDX_FILES)}, {name} is missing", where)
        parts.append(parse_idx(idx_bytes(path, where), path, where))
    return _checked(dict(zip(KEYS, parts)), folder, where)


def idx_file(folder: Path, name: str) -> Path | None:
    """Returns the path of an IDX file in a folder, raw before .gz; None when it has neither."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def idx_bytes(path: Path, where: str, limit: int = _MAX_BYTES) -> bytes:
    """Returns up to `limit` bytes of an IDX file, decompressed."""
    if path.suffix != ".gz":
        with open(path, "rb") as file:
            return file.read(limit)
    import gzip

    try:
        with gzip.open(path, "rb") as stream:
            return stream.read(limit)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, f"it cannot be decompressed ({error})", where) from error


def parse_idx(data: bytes, path: Path, where: str) -> np.ndarray:
    """Reads the IDX format: bytes 0 0 type rank, big-endian sizes, then the values (type 8: uint8)."""
    rank = data[3] if len(data) >= 4 else 0
    if data[:3] != b"\0\0\x08" or rank not in (1, 3) or len(data) < 4 + 4 * rank:
        raise damaged(path, f"expected an IDX header of unsigned bytes, found {data[:4].hex(' ') or 'nothing'}", where)
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", rank, offset=4))
    size = 1
    for n in shape:
        size *= n
    if len(data) != 4 + 4 * rank + size:
        raise damaged(path, f"expected {size} values of shape {shape}, found {len(data) - 4 - 4 * rank}", where)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()


def _parse_npy(data: bytes, path: Path, where: str) -> np.ndarray:
    """Reads .npy data, versions 1 and 2, without objects and without allocating what a header claims."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = header(stream)
        if dtype.hasobject:
            raise ValueError("pickled objects are not loaded")
        values = np.frombuffer(data, dtype, offset=stream.tell())
        return values.reshape(shape, order="F" if fortran_order else "C").copy()
    except ValueError as error:
        raise damaged(path, f"an array cannot be read ({error})", where) from error


def _checked(arrays: dict[str, Any], path: Path, where: str) -> tuple[Split, Split]:
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        found = f"{x.dtype} {x.shape} and {y.dtype} {y.shape}"
        if x.dtype != np.uint8 or x.ndim != 3 or x.shape[1:] != (28, 28) or y.dtype.kind not in "iu":
            raise damaged(path, f"expected uint8 images [n, 28, 28] with integer labels [n], found {found}", where)
        if y.shape != x.shape[:1] or len(x) == 0:
            raise damaged(path, f"expected as many labels as images, at least one, found {found}", where)
        if y.min() < 0 or y.max() > 9:
            raise damaged(path, f"expected labels 0 to 9, found {y.min()} to {y.max()}", where)
        arrays[f"y_{part}"] = y.astype(np.uint8)
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
