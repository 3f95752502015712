"""Addresses of teachers: what `--teacher` names, read without opening it."""

_EASE = "ease:"


def address_parts(address: str) -> tuple[str, str]:
    """Return the address of a teacher without co-occurrence, and the dataset folder of the latter; "" for none.

    "ease:FOLDER" is co-occurrence alone, "TEACHER+ease:FOLDER" both.
    """
    if address.startswith(_EASE):
        return "", address.removeprefix(_EASE)
    first, _, folder = address.rpartition(f"+{_EASE}")
    return (first, folder) if first and folder else (address, "")


def local_path(address: str) -> str:
    """Return the path of a teacher's checkpoints or of its recording; "" for a server."""
    kind, _, path = address.partition(":")
    return path if kind in ("file", "local") else ""


def local_paths(address: str) -> list[str]:
    """Return the paths of this machine that an address names."""
    first, dataset = address_parts(address)
    return [path for path in (local_path(first), dataset) if path]
