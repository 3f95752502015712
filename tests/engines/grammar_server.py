"""A small server of OpenAI's completions API that moves grammars as vLLM's scheduler does, with drafts or without."""

import json

import torch
from completions_server import CompletionsServer

from train_utils.engines.domains import Domain, Domains
from train_utils.engines.vllm_plugin import VllmGrammar


class GrammarServer(CompletionsServer):
    """Server of one tiny model and one catalog.

    Args:
        model: the tiny model.
        chat: its renderer.
        catalog: the catalog, which is its domain's name.
        drafts: tokens that are drafted per pass; 0 for none.
        breaks: see `CompletionsServer`; or it "aborts" or "stops inside" an item, "dies" after half of a stream or
            reports a "failure" there, or takes "no biases", as vLLM with speculative decoding, or "few logprobs".
    """

    def __init__(self, model, chat, catalog, drafts=0, breaks=""):
        super().__init__(model, chat, breaks=breaks)
        self.domains = Domains({catalog.name: Domain(catalog, chat, model.config.vocab_size)})
        self.drafts, self.passes = drafts, 0

    def answer(self, method, path, body):
        if method == "GET" or self.refuses:
            return super().answer(method, path, body)
        try:
            pair = self.domains.with_drafter(body["structured_outputs"]["grammar"], {self.chat.end_of_turn})
        except ValueError as error:
            return 400, {"error": {"message": str(error)}}
        if self.breaks == "few logprobs" and body["logprobs"] > 1:
            return 400, {"error": {"message": "logprobs is greater than max allowed: 1"}}
        if self.breaks == "no biases" and body.get("logit_bias"):
            return 400, {"error": {"message": "logit_bias is not yet supported with speculative decoding"}}
        self.bodies.append(body)
        ids, values, first = self._decoded(body, VllmGrammar(*pair))
        if self.breaks in ("stops inside", "aborts"):
            inside = ids.index(self.chat.soi) + 1
            ids, values = ids[:inside], values[:inside]
        choices = [self._choice(ids, values, first)]
        if not body.get("stream"):
            return 200, {"choices": choices}
        pieces = [self._choice([token], [value]) for token, value in zip(ids, values, strict=True)]
        for piece, last in zip(pieces, [False] * (len(pieces) - 1) + [True], strict=True):
            piece["finish_reason"] = choices[0]["finish_reason"] if last else None
        lines = [f"data: {json.dumps({'choices': [piece]})}\n\n" for piece in pieces]
        if self.breaks in ("dies", "failure"):
            failure = json.dumps({"error": {"message": "the engine failed"}})
            return 200, "".join([*lines[: len(lines) // 2], f"data: {failure}\n\n" * (self.breaks == "failure")])
        return 200, "".join([*lines, "data: [DONE]\n\n"])

    def _choice(self, ids, values, top=None):
        finish = "stop" if ids[-1] == self.chat.end_of_turn else "length"
        finish = {"aborts": "abort", "stops inside": "stop"}.get(self.breaks, finish)
        return {
            "text": self._text(ids),
            "token_ids": ids,
            "finish_reason": finish,
            "logprobs": {"token_logprobs": values, "top_logprobs": [top]},
        }

    @torch.inference_mode()
    def _decoded(self, body, grammar):
        ids, values, first = [], [], None
        while len(ids) < body["max_tokens"] and not grammar.is_terminated():
            drafts = grammar.drafts(self.drafts) if self.drafts else []
            assert grammar.validate_tokens(drafts) == drafts
            masks = self._masks(grammar, drafts)
            logits = self.model(torch.tensor([body["prompt"] + ids + drafts])).logits[0, -len(masks) :].double()
            self.passes += 1
            for token, value in body.get("logit_bias", {}).items():
                logits[:, int(token)] += value
            for draft, mask, row in zip([*drafts, None], masks, logits, strict=True):
                shares = (row if self.breaks == "ignores" else row.masked_fill(~mask, -torch.inf)).log_softmax(0)
                if not ids and body.get("return_tokens_as_token_ids"):
                    best = shares.topk(min(body["logprobs"], len(shares)))
                    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
                    first = {f"token_id:{token}": max(value, -9999.0) for token, value in pairs}
                ids.append(int(shares.argmax()))
                values.append(float(shares[ids[-1]]))
                accepted = grammar.accept_tokens("r", ids[-1:])
                assert accepted or self.breaks == "ignores"
                if ids[-1] != draft or grammar.is_terminated():
                    break
            if self.breaks == "ignores" and ids[-1] == self.chat.end_of_turn:
                break
        return ids[: body["max_tokens"]], values[: body["max_tokens"]], first

    def _masks(self, grammar, drafts):
        """Return bool [vocabulary] for each draft and the token after them; the grammar is as before."""
        vocabulary, masks = self.model.config.vocab_size, []
        for draft in [*drafts, None]:
            row = torch.full((1, -(-vocabulary // 32)), -1, dtype=torch.int32)
            if not grammar.is_terminated():
                grammar.fill_bitmask(row, 0)
            masks.append(
                (row[0].repeat_interleave(32) >> torch.arange(32).repeat(row.shape[1]) & 1).bool()[:vocabulary]
            )
            assert draft is None or grammar.accept_tokens("r", [draft])
        grammar.rollback(len(drafts))
        return masks
