"""Promises of the teacher's client: against a scripted HTTP peer, a real server, and recorded files."""

import json
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from teacher_running import HISTORIES, address, host_port, start, trained

from train_utils.teacher.http_client import HttpTeacher, _retry_after
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import TeacherError
from train_utils.teacher.recorded import RecordedTeacher


@pytest.fixture
def peer():
    """An HTTP server that answers by `peer.script`, a list of (status, body), and then x0, x1, ... always."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.asked.append(body)
            server.heard.set()
            lists = [[f"x{n}" for n in range(body["k"])] for _ in body["item_lists"]]
            answer = {"inference": lists, "scores": [[0.5] * len(items) for items in lists]}
            status, content = server.script.pop(0) if server.script else (200, json.dumps(answer))
            self.send_response(status)
            self.send_header("content-length", str(len(content.encode())))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.asked, server.script, server.heard = [], [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def teacher(peer):
    teacher = HttpTeacher("127.0.0.1", peer.server_port, backoff=0.001)
    yield teacher
    teacher.close()


def test_many_histories_travel_in_few_bounded_requests(teacher, peer):
    lists = teacher.top_k([[str(number)] for number in range(2500)], 2)
    assert lists == [["x0", "x1"]] * 2500
    sizes = [len(body["item_lists"]) for body in peer.asked]
    assert sizes == [1024, 1024, 452]
    assert [history for body in peer.asked for history in body["item_lists"]] == [[str(n)] for n in range(2500)]
    assert teacher.top_k([], 2) == []


def test_scores_come_as_a_pair(teacher):
    assert teacher.top_k([["a"]], 2, scores=True) == ([["x0", "x1"]], [[0.5, 0.5]])


def test_a_busy_teacher_is_asked_again(teacher, peer):
    peer.script = [(503, "{}"), (504, "{}")]
    assert teacher.top_k([["a"]], 1) == [["x0"]]
    assert len(peer.asked) == 3


def test_a_refusal_is_reported_and_not_repeated(teacher, peer):
    peer.script = [(422, '{"detail": "unknown item \'a\'"}')]
    with pytest.raises(TeacherError, match="422.*unknown item 'a'"):
        teacher.top_k([["a"]], 1)
    assert len(peer.asked) == 1


@pytest.mark.parametrize("answer", ["not json", "[]", "{}", '{"inference": []}', '{"inference": 3}'])
def test_a_senseless_answer_is_an_error_and_never_a_short_list(teacher, peer, answer):
    peer.script = [(200, answer)]
    with pytest.raises(TeacherError):
        teacher.top_k([["a"]], 1)


BUSY = (503, "{}")


def test_a_dead_teacher_is_one_clear_line(peer):
    teacher = HttpTeacher("127.0.0.1", peer.server_port, "toys", first_patience=0)
    peer.script = [BUSY]
    with pytest.raises(TeacherError, match=r"not answer \(status 503\).*unirec_serve.sh toys \d+") as busy:
        teacher.top_k([["a"]], 1)
    assert "\n" not in str(busy.value)
    with pytest.raises(TeacherError, match=r"does not answer.*unirec_serve.sh NAME 1"):
        HttpTeacher("127.0.0.1", 1, first_patience=0).top_k([["a"]], 1)


def test_a_teacher_that_has_answered_is_waited_for(peer):
    teacher = HttpTeacher("127.0.0.1", peer.server_port, first_patience=0, patience=60, backoff=0.001)
    peer.script = [BUSY]
    with pytest.raises(TeacherError):
        teacher.top_k([["a"]], 1)
    teacher.top_k([["a"]], 1)
    peer.script = [BUSY] * 4
    assert teacher.top_k([["a"]], 1) == [["x0"]]


def test_a_teacher_that_failed_is_asked_once_until_it_answers_again(peer):
    teacher = HttpTeacher("127.0.0.1", peer.server_port, first_patience=0.05, backoff=0.001)
    peer.script = [BUSY] * 1000
    for _ in range(2):
        peer.asked.clear()
        with pytest.raises(TeacherError, match="does not answer"):
            teacher.top_k([["a"]], 1)
    assert len(peer.asked) == 1
    peer.script = []
    assert teacher.top_k([["a"]], 1) == [["x0"]]


def test_a_teacher_opened_while_users_wait_is_given_up_soon(peer):
    teacher = open_teacher(f"127.0.0.1:{peer.server_port}", 0.05)
    teacher.top_k([["a"]], 1)
    peer.script = [BUSY] * 1000
    with pytest.raises(TeacherError, match="does not answer"):
        teacher.top_k([["a"]], 1)
    assert len(peer.asked) < 10


def test_closing_ends_the_wait_for_a_dead_teacher(peer):
    teacher = HttpTeacher("127.0.0.1", peer.server_port, first_patience=1e9, backoff=1e6)
    peer.script = [BUSY]
    with ThreadPoolExecutor(1) as pool:
        question = pool.submit(teacher.top_k, [["a"]], 1)
        assert peer.heard.wait(60)
        teacher.close()
        with pytest.raises(TeacherError, match="closed"):
            question.result(60)


def test_a_dataset_is_named_only_where_the_address_names_it(peer):
    for path, named in (("", None), ("/", None), ("/toys", "toys"), ("/two%20words/", "two words")):
        teacher = open_teacher(f"http://127.0.0.1:{peer.server_port}{path}")
        teacher.top_k([["a"]], 1)
        assert peer.asked[-1].get("dataset") == named
        assert ("dataset" in peer.asked[-1]) == (named is not None)
        teacher.close()


def test_a_killed_and_restarted_server_is_not_noticed_by_those_who_ask(tmp_path):
    folder = trained(tmp_path)
    server = start([folder])
    teacher = HttpTeacher(*host_port(address(server)), "ring", backoff=0.05)
    expected = [teacher.top_k([history], 5, scores=True) for history in HISTORIES]
    port = host_port(teacher.url)[1]
    done, answered = threading.Event(), queue.Queue()

    def ask(number: int) -> int:
        """Asks on and on; returns the number of wrong answers."""
        wrong = 0
        while not done.is_set():
            wrong += teacher.top_k([HISTORIES[number]], 5, scores=True) != expected[number]
            answered.put(number)
        return wrong

    def everyone_got(times: int) -> None:
        missing = dict.fromkeys(range(len(HISTORIES)), times)
        while any(left > 0 for left in missing.values()):
            missing[answered.get(timeout=60)] -= 1

    with ThreadPoolExecutor(len(HISTORIES)) as pool:
        asking = [pool.submit(ask, number) for number in range(len(HISTORIES))]
        try:
            everyone_got(1)
            for _ in range(2):
                server.kill()
                server.communicate()
                server = start([folder], port)
                assert address(server) == teacher.url
                with answered.mutex:
                    answered.queue.clear()
                everyone_got(2)  # the first may be from before
        finally:
            done.set()
            wrong = [future.result(60) for future in asking]
            server.kill()
            server.communicate()
    assert not any(wrong)


def test_a_recording_asks_once_and_replays_without_the_teacher(teacher, peer, tmp_path):
    recording = RecordedTeacher(tmp_path / "answers", teacher)
    histories = [["a"], ["b", "ü"], ["a"]]
    first = recording.top_k(histories, 3, scores=True)
    assert recording.top_k(histories, 3, scores=True) == first
    assert [body["item_lists"] for body in peer.asked] == [[["a"], ["b", "ü"]]]
    recording.top_k([["a"]], 5)
    assert len(peer.asked) == 2

    replay = open_teacher(f"file:{tmp_path / 'answers'}")
    assert replay.top_k(histories, 3, scores=True) == first
    assert replay.top_k([["a"]], 2) == [["x0", "x1"]]
    with pytest.raises(TeacherError, match="no answer of 1 items"):
        replay.top_k([["c"]], 1)
    with pytest.raises(TeacherError, match="no answer of 4 items"):
        replay.top_k([["b", "ü"]], 4)


def test_a_recording_holds_what_was_answered_before_the_teacher_failed(teacher, tmp_path):
    RecordedTeacher(tmp_path / "answers", teacher).top_k([["a"]], 3)
    teacher.close()
    again = RecordedTeacher(tmp_path / "answers", teacher)
    assert again.top_k([["a"]], 3) == [["x0", "x1", "x2"]]
    with pytest.raises(TeacherError, match="closed"):
        again.top_k([["a"], ["b"]], 3)


def test_answers_of_several_threads_are_all_recorded(teacher, tmp_path):
    recording = RecordedTeacher(tmp_path / "answers", teacher)
    with ThreadPoolExecutor(8) as pool:
        actual = list(pool.map(lambda n: recording.top_k([[str(n % 20)]], 2, scores=True), range(100)))
    replay = RecordedTeacher(tmp_path / "answers")
    assert actual == [replay.top_k([[str(n % 20)]], 2, scores=True) for n in range(100)]


def test_what_is_no_recording_is_refused(tmp_path):
    with pytest.raises(TeacherError, match="no recording"):
        RecordedTeacher(tmp_path / "none")
    (tmp_path / "text").write_text('{"history": ["a"]}' * 99)
    with pytest.raises(TeacherError, match="is not a recording"):
        RecordedTeacher(tmp_path / "text")
    (tmp_path / "empty").touch()
    with pytest.raises(TeacherError, match="is not a recording"):
        RecordedTeacher(tmp_path / "empty")


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "localhost",
        "localhost:",
        "localhost:x",
        "localhost:0",
        "localhost:99999",
        "ftp://a:1",
        "a:1/b/c",
        "a:1/b?c",
        "u:p@a:1",
        "http://ü..x:1",
        "http://[::1:1",
        "file:",
        "local:",
    ],
)
def test_a_wrong_description_says_what_is_wanted(spec):
    with pytest.raises(ValueError, match="host:port"):
        open_teacher(spec)


@pytest.mark.parametrize("spec", ["127.0.0.1:2068", "http://127.0.0.1:2068", "http://127.0.0.1:2068/"])
def test_an_address_opens_the_http_client(spec):
    assert open_teacher(spec).url == "http://127.0.0.1:2068"
    assert open_teacher("[::1]:2068").url == "http://[::1]:2068"


@pytest.mark.parametrize("value,seconds", [(b"2", 2.0), (b"\xb2", 0.0), (b"-1", 0.0), (b"1e9", 0.0), (b"", 0.0)])
def test_a_wait_that_a_server_asks_for_is_a_plain_number_or_ignored(value, seconds):
    assert _retry_after(httpx.Response(503, headers=[(b"Retry-After", value)])) == seconds
