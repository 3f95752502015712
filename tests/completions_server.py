"""A small server of OpenAI's completions API: a tiny model under the grammar of the request, read by llguidance.

It stands for a hosted endpoint, and can be broken in the ways in which one may be.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import llguidance
import llguidance.hf
import numpy as np
import torch

LARK = {
    "vllm": lambda body: body["structured_outputs"]["grammar"],
    "sglang": lambda body: body["ebnf"],
    "tensorrt_llm": lambda body: body["response_format"]["ebnf"],
    "llamacpp": lambda body: body["grammar"].removeprefix("%llguidance {}\n"),
}


class CompletionsServer:
    """Server of one model.

    Args:
        model: the tiny model.
        chat: its renderer.
        kind: the server that it resembles, of `LARK`.
        breaks: what it does wrong: "" for nothing, "ignores" the grammar, "hides" special tokens, is "cut" short,
            has "another tokenizer", answers "no JSON" or "no choices".
        repeated: tokens of every answer; () lets the model write.
        refuses: statuses of the next answers, before it works.
        reports_ids: whether it reports token ids.
    """

    def __init__(self, model, chat, kind="vllm", breaks="", refuses=(), reports_ids=True, repeated=()):
        self.model, self.chat, self.kind, self.breaks = model, chat, kind, breaks
        self.refuses, self.reports_ids, self.repeated = list(refuses), reports_ids, repeated
        self.tokenizer = llguidance.hf.from_tokenizer(chat.tokenizer, eos_token=chat.end_of_turn)
        self.bodies: list[dict] = []
        self.keys: list[str | None] = []

    def answer(self, method, path, body):
        """Return status and content."""
        if self.refuses:
            return self.refuses.pop(0), {"error": {"message": "not now"}}
        if method == "GET":
            return 200, {"data": [{"id": "tiny", "owned_by": self.kind, "max_model_len": 4000}]}
        self.bodies.append(body)
        try:
            lark = LARK[self.kind](body)
            grammar = llguidance.LLMatcher(self.tokenizer, llguidance.grammar_from("ebnf", lark), log_level=0)
        except (KeyError, ValueError):
            return 400, {"error": {"message": "no grammar"}}
        if grammar.is_error():
            return 400, {"error": {"message": grammar.get_error()}}
        ids, log_probabilities = self._written(body, grammar)
        finish = "stop" if ids[-1] == self.chat.end_of_turn else "length"
        choice = {"text": self._text(ids), "finish_reason": finish, "logprobs": {"token_logprobs": log_probabilities}}
        if self.reports_ids:
            choice["token_ids"] = ids
        return 200, "no JSON" if self.breaks == "no JSON" else {"choices": [choice] * (self.breaks != "no choices")}

    @torch.inference_mode()
    def _written(self, body, grammar):
        if self.repeated:
            return [*self.repeated, self.chat.end_of_turn], [0.0] * (len(self.repeated) + 1)
        ids, values = [], []
        most = body["max_tokens"] // 2 if self.breaks == "cut" else body["max_tokens"]
        while len(ids) < most and (not ids or ids[-1] != self.chat.end_of_turn):
            logits = self.model(torch.tensor([body["prompt"] + ids])).logits[0, -1].double()
            if self.breaks != "ignores":
                bits = np.unpackbits(np.frombuffer(grammar.compute_bitmask(), np.uint8), bitorder="little")
                logits[torch.from_numpy(bits[: len(logits)] == 0)] = -torch.inf
            shares = logits.log_softmax(0)
            ids.append(int(shares.argmax()))
            values.append(float(shares[ids[-1]]))
            assert self.breaks == "ignores" or grammar.consume_token(ids[-1])
        return ids, values

    def _text(self, ids):
        if ids and ids[-1] == self.chat.end_of_turn:
            ids = ids[:-1]
        text = self.chat.tokenizer.decode(ids, skip_special_tokens=self.breaks == "hides")
        return text[::-1] if self.breaks == "another tokenizer" else text


@contextmanager
def running(server):
    """Yield the address of a server while it runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.respond("GET", None)

        def do_POST(self):
            self.respond("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def respond(self, method, body):
            server.keys.append(self.headers.get("Authorization"))
            status, content = server.answer(method, self.path, body)
            content = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
