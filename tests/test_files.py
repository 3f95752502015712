"""Promises of every write: whole or not at all, and readable as any file that its user makes."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from train_utils.files.atomic import replacing, replacing_folder, write_text

ROOT = Path(__file__).parents[1]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a", "\ud800")
    assert (tmp_path / "a").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("write", [replacing, replacing_folder])
def test_a_full_disk_names_what_was_written_and_no_other_error_is_changed(tmp_path, write):
    with (
        pytest.raises(OSError, match=f"space left on device; free some space.*'{tmp_path / 'a'}'"),
        write(tmp_path / "a"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError) as raised, write(tmp_path / "a"):
        (tmp_path / "other").read_bytes()
    assert raised.value.filename == str(tmp_path / "other")
    with pytest.raises(OSError, match=r"^\[Errno 5\] Input/output error$"), write(tmp_path / "a"):
        raise OSError(errno.EIO, "Input/output error")
    assert not list(tmp_path.iterdir())


def test_a_failed_folder_leaves_the_old_one_and_nothing_else(tmp_path):
    with replacing_folder(tmp_path / "f") as to:
        (to / "x").write_text("old")
    with pytest.raises(OSError, match="full"), replacing_folder(tmp_path / "f") as to:
        (to / "x").write_text("new")
        raise OSError("full")
    assert (tmp_path / "f" / "x").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("umask,file,folder", [("022", 0o644, 0o755), ("077", 0o600, 0o700), ("002", 0o664, 0o775)])
def test_files_and_folders_have_the_rights_that_the_user_gives_his_own(tmp_path, umask, file, folder):
    code = (
        "from train_utils.files.atomic import *\n"
        f"write_text({str(tmp_path / 'a')!r}, 'x')\nwith replacing_folder({str(tmp_path / 'f')!r}) as to:\n"
        " (to / 'g').mkdir(mode=0o700)\n"
        " from safetensors.numpy import save_file\n import numpy\n save_file({'x': numpy.ones(2)}, to / 'g' / 'w')"
    )
    subprocess.run(["bash", "-c", f'umask {umask}; "$0" -c "$1"', sys.executable, code], cwd=ROOT, check=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == file
    for path in ("f", "f/g"):
        assert (tmp_path / path).stat().st_mode & 0o777 == folder
    assert (tmp_path / "f/g/w").stat().st_mode & 0o777 == file
