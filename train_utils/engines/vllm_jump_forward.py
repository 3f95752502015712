"""Jump forward in vLLM: tokens that the trie forces, and those that probably follow, are verified in one pass.

vLLM drafts in the worker, which has no grammar. So the proposer there proposes no token, and the scheduler, which has
the grammars, takes the drafts of a constrained request from its grammar; the model verifies them like any others.
"""

from collections.abc import Sequence
from typing import Any


class GrammarProposer:
    """Proposer for `speculative_config` `{"method": "custom_class"}`, which leaves drafts to the scheduler.

    Args:
        vllm_config: configuration of the engine.
    """

    def __init__(self, vllm_config: Any):
        del vllm_config

    def propose(self, sampled_token_ids: Sequence[Sequence[int]], *_: Any, **__: Any) -> list[list[int]]:
        """Return no draft for any sequence."""
        return [[] for _ in sampled_token_ids]

    def load_model(self, *_: Any, **__: Any) -> None:
        """Load no weights."""


def with_jump_forward(stock: Any, scheduler: Any, draft_token_ids: Any) -> None:
    """Take the drafts of constrained requests from their grammars; called in place of `update_draft_token_ids`.

    Args:
        stock: vLLM's method.
        scheduler: vLLM's scheduler.
        draft_token_ids: drafts of the worker, with the ids of their requests.
    """
    stock(scheduler, draft_token_ids)
    most = scheduler.num_spec_tokens
    for req_id in draft_token_ids.req_ids:
        request = scheduler.requests.get(req_id)
        if request is None or request.is_finished() or request.is_prefill_chunk:
            continue
        grammar = getattr(request.structured_output_request, "grammar", None)
        if (drafts := getattr(grammar, "drafts", None)) is not None:
            request.spec_token_ids = drafts(most)
