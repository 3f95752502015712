"""Files of an impression log while it is written: appended durably, one after the other, within a limit of bytes."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from train_utils.files.atomic import is_open_at
from train_utils.impression_files import file_name, file_number

FILE_BYTES = 64 << 20  # a file that a program reads whole without care


class RecordFiles:
    """Files of a log in a folder that has one writer; used by one thread.

    Files that are moved or deleted meanwhile, such as by a program that archives them, are not missed: the next record
    begins the next file. A folder that is moved is still written to, and one that was deleted takes no records, so that
    they never get into a folder that another server made at its path.

    Args:
        folder: the folder, which exists.
        most_bytes: bytes that the files of the folder may hold together.
        file_bytes: bytes after which a new file begins.
    """

    def __init__(self, folder: Path, most_bytes: int, file_bytes: int = FILE_BYTES):
        self._most_bytes, self._file_bytes = most_bytes, file_bytes
        self._directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        sizes = self._sizes()
        self._bytes = sum(sizes.values())
        # A file of a killed process may end in half a line, so none is continued.
        self._number, self._file, self._size = max(sizes, default=0) + 1, -1, 0

    def append(self, lines: Sequence[bytes]) -> None:
        """Append lines durably: all of them, or none where it raises.

        Raises:
            OSError: they cannot be written.
            ValueError: the folder is full.
        """
        content = b"".join(lines)
        if not content:
            return
        if self._bytes + len(content) > self._most_bytes:
            self._bytes = sum(self._sizes().values())  # files may have been deleted
        if self._bytes + len(content) > self._most_bytes:
            raise ValueError(f"the folder holds {self._bytes >> 20} MiB; raise `impressions_mib`")
        self._find_file()
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(self._file, left) :]
            os.fdatasync(self._file)
        except OSError as error:
            self._take_back(error)
            raise
        self._size, self._bytes = self._size + len(content), self._bytes + len(content)
        if self._size >= self._file_bytes:
            self._end_file()

    def close(self) -> None:
        """Close the file and the folder."""
        self._end_file()
        os.close(self._directory)

    def _sizes(self) -> dict[int, int]:
        """Return the bytes of each file by its number."""
        with os.scandir(self._directory) as entries:
            numbered = [(file_number(entry.name), entry) for entry in entries]
            return {number: entry.stat().st_size for number, entry in numbered if number is not None}

    def _find_file(self) -> None:
        """Continue the file, or open the next one whose name is free: a link or a copy there is not written to."""
        if self._file >= 0 and not is_open_at(self._file, file_name(self._number), self._directory):
            self._end_file()
        if self._file >= 0:
            self._size = os.fstat(self._file).st_size  # it may have been copied and emptied
        while self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            try:
                self._file = os.open(file_name(self._number), flags, 0o600, dir_fd=self._directory)
            except FileExistsError:
                self._number += 1

    def _take_back(self, error: OSError) -> None:
        """Cut off what a failed write left, so that a full disk gets no new file for each failure."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._end_file()  # it may end in half a line
        if error.errno == errno.EFBIG and self._size:  # beyond `ulimit -f`; the next file has room
            self._end_file()

    def _end_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._number += 1
        self._file, self._size = -1, 0
