"""Whoever answers at the address of a teacher: rankings are checked, answers are bounded, errors are one line."""

import gzip
import json
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import async_server
import pytest
import train

from train_utils.teacher import http_client
from train_utils.teacher.http_client import HttpTeacher
from train_utils.teacher.protocol import TeacherError, check_ranking

ROOT = Path(__file__).parents[2]
ESCAPES = "\x1b[2J\r\n\u202e"


@pytest.fixture
def answered():
    """Function from pieces of bytes to the error of a client that gets them as the answer."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refusal(*pieces: bytes, scores: bool = False) -> str:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        teacher = HttpTeacher(*listener.getsockname(), first_patience=0)
        with pytest.raises(TeacherError) as error:
            teacher.top_k([["a"]], 2, scores=scores)
        teacher.close()
        thread.join(20)
        assert not thread.is_alive()
        text = str(error.value)
        assert "\n" not in text and text.isprintable() and len(text) < 700
        return text

    yield refusal
    listener.close()


def response(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}content-length: {len(body)}\r\n\r\n".encode() + body


NESTED = b"[" * 50_000
ANSWERS = {
    "nested": NESTED,
    "nested inside": b'{"inference": [["x", "y"]], "scores": [[0.5, 0.5]], "z": ' + NESTED + b"]" * 50_000 + b"}",
    "no texts": b'{"inference": [[1, null]], "scores": [[0.5, 0.5]]}',
    "too many": b'{"inference": [["x", "y", "z"]], "scores": [[0.5, 0.5, 0.5]]}',
    "twice": b'{"inference": [["x", "x"]], "scores": [[0.5, 0.5]]}',
    "not finite": b'{"inference": [["x", "y"]], "scores": [[NaN, 0.5]]}',
    "no numbers": b'{"inference": [["x", "y"]], "scores": ["ab"]}',
    "a text": b'{"inference": "x", "scores": "y"}',
    "no object": b"[1]",
    "no UTF-8": b'{"inference": [["\xff", "y"]]}',
    "escapes": json.dumps({"inference": ESCAPES, "scores": ESCAPES}).encode(),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_no_ranking_is_refused(answered, name):
    assert "answer" in answered(response(ANSWERS[name]), scores=True)


def test_a_refusal_is_shown_on_one_short_line(answered):
    detail = json.dumps({"detail": ESCAPES * 1000}).encode()
    for body in (detail, ESCAPES.encode() * 1000, NESTED, b'{"detail": ' + NESTED):
        assert "refused (422)" in answered(response(body, "422 X"))


def test_an_answer_is_no_larger_than_its_rankings_can_be(answered):
    head, blanks = b"HTTP/1.1 200 OK\r\n\r\n", b" " * (1 << 20)
    assert "more than" in answered(head, *[blanks] * 100)
    packed = gzip.compress(blanks * 20)
    assert "answers" in answered(response(packed, more="content-encoding: gzip\r\n"))


def test_an_answer_that_trickles_ends(answered, monkeypatch):
    monkeypatch.setattr(http_client, "_LONGEST_ANSWER_S", 0.0)
    assert "took more than" in answered(b"HTTP/1.1 200 OK\r\n\r\n", b" ", b" ")


@pytest.mark.parametrize("numbers", [["1", "2"], "ab", [None, 1], [True, 1], 5], ids=repr)
def test_probabilities_are_numbers(numbers):
    with pytest.raises((ValueError, TypeError)):
        check_ranking(["x", "y"], numbers, 2)


@pytest.mark.parametrize("main", [train.main, async_server.main], ids=lambda main: main.__module__)
def test_an_error_of_the_teacher_is_one_line_that_a_terminal_cannot_execute(main, tmp_path, capsys):
    folder = str(tmp_path / f"x{ESCAPES}")
    assert main(["--dataset", "x", "--data_path", folder, "--output_path", folder]) == 2
    check_error(capsys.readouterr().err)


COMMANDS = {
    "preprocess/data_preprocess.py": ["ml-100k", "name", "--raw_path", f"x{ESCAPES}"],
    "scripts/fetch_defaults.py": [f"--x{ESCAPES}"],
}


@pytest.mark.parametrize("script", COMMANDS)
def test_the_error_of_a_command_is_one_line_that_a_terminal_cannot_execute(script, tmp_path):
    command = [sys.executable, str(ROOT / script), *COMMANDS[script]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2, done.stderr
    check_error(done.stderr)


def check_error(printed: str) -> None:
    (line,) = printed.splitlines()
    assert line.startswith("error: ") and line.isprintable()
