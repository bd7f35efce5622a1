import os
import stat

import pytest

from lamina.saving import atomic
from lamina.saving.atomic import write_atomic


class Killed(BaseException):
    """Stands for whatever ends the process there."""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")
    return path


def test_writes(path):
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("step", ["open", "fdopen", "fsync", "replace"])
def test_an_interruption_leaves_the_old_file(path, step, monkeypatch):
    def kill(*args, **kwargs):
        raise Killed

    monkeypatch.setattr(atomic.os, step, kill)
    with pytest.raises(Killed):
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_a_process_that_dies_before_the_rename_leaves_the_old_file(path, monkeypatch):
    monkeypatch.setattr(atomic.os, "replace", lambda *_: os._exit(1))
    child = os.fork()
    if child == 0:
        write_atomic(path, b"new")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert path.read_bytes() == b"old"


def test_the_data_is_on_the_disk_before_the_name_and_the_folder_after(path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(*names):
        steps.append("rename")
        assert os.path.dirname(names[0]) == os.path.dirname(names[1])
        replace(*names)

    monkeypatch.setattr(atomic.os, "fsync", note_fsync)
    monkeypatch.setattr(atomic.os, "replace", note_replace)
    write_atomic(path, b"new")
    assert steps == ["file", "rename", "folder"]


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_follows_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "m", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "m").st_mode) == mode


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "none" / "m", b"new")
