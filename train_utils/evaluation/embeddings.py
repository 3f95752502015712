"""Analysis of RecLM-ret's embeddings: retrieval of items by title, and similarity within categories."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from transformers import PreTrainedModel

from train_utils.catalog import Catalog, load_catalog
from train_utils.decoding.forward import LastHiddenState, forward, prefill_shared_prefix
from train_utils.decoding.ragged_attention import use_ragged_attention
from train_utils.evaluation.llm import load_llm
from train_utils.evaluation.results import default_output, keep_other, result_file, result_identity, result_inputs
from train_utils.files.atomic import replacing, write_json
from train_utils.manifest import manifest
from train_utils.models.backbone import with_dtype
from train_utils.param.evaluation import EvalOptions
from train_utils.prompts.messages import message, separator
from train_utils.prompts.renderer import Chat
from train_utils.prompts.templates import NAME_ITEM, SYSTEM, fill, history_parts

ITEMS = 512  # items that are queried
SHOWN = 60  # items in the heat maps


def report_embeddings(options: EvalOptions) -> tuple[Path, dict[str, float]]:
    """Query a RecLM-ret model for items by their titles; write numbers (.json) and heat maps (.png).

    Returns:
        The JSON file, and the numbers of `compare`.
    """
    output = Path(options.output) if options.output else default_output(options)
    options = with_dtype(options)
    with result_file(output, options):
        return output, _report(output, options)


def _report(output: Path, options: EvalOptions) -> dict[str, float]:
    catalog = load_catalog(options.data_path)
    recommender = load_llm(catalog, options)
    model, chat, retriever = recommender.model, recommender.renderer, recommender.retriever
    assert retriever is not None  # `run_adapter_test` rejects models without retrieval
    chosen = sorted(random.Random(options.seed).sample(range(len(catalog.items)), min(ITEMS, len(catalog.items))))
    prompts = [
        chat.render(
            [message("system", SYSTEM), message("user", *fill(NAME_ITEM, history=history_parts([item], marked=False)))],
            prompt=True,
        ).ids
        for item in chosen
    ]
    states = opening_states(model, chat, prompts, options.idx, options.batch_size)
    queries = retriever.retrieval.queries(states).cpu().numpy()
    vectors = retriever.items.cpu().numpy()
    numbers = compare(queries, vectors, chosen, [catalog.items[i].categories for i in chosen])
    draw(catalog, queries, vectors, chosen, output.with_suffix(".png"))
    made_from = manifest(result_identity(options), result_inputs(options))
    keep_other(output, made_from)
    write_json(output, {"manifest": made_from, "items": catalog.ids(chosen), "numbers": numbers})
    return numbers


@torch.inference_mode()
def opening_states(
    model: PreTrainedModel, chat: Chat, prompts: Sequence[Sequence[int]], idx: bool, batch: int
) -> torch.Tensor:
    """Compute the states that predict the `<SOI>` of an answer's first item.

    Args:
        model: causal language model.
        chat: encoder of the texts.
        prompts: token ids of each prompt.
        idx: whether the list is numbered.
        batch: prompts per forward pass.

    Returns:
        [prompts, d].
    """
    use_ragged_attention(model)
    seen, states = LastHiddenState.of(model), []
    texts = [[*prompt, *chat.encode(separator(1, idx))] for prompt in prompts]
    for at in range(0, len(texts), batch):
        part = texts[at : at + batch]
        cache, shared = prefill_shared_prefix(model, part)
        blocks = [text[shared:] for text in part]
        forward(model, cache, blocks, [shared] * len(part), [[len(block) - 1] for block in blocks])
        states.append(seen.states[0])
    return torch.cat(states)


def compare(
    queries: np.ndarray, vectors: np.ndarray, chosen: Sequence[int], categories: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Compare queries with item vectors.

    Cosines subtract the catalog's mean vector from item vectors: a component that all items share shifts every score
    alike.

    Args:
        queries: float32 [n, d].
        vectors: float32 [items, d].
        chosen: the item that each query is for, n indices.
        categories: categories of each chosen item.

    Returns:
        Numbers by name:

        - recall@1, recall@10, mrr: by the rank of the chosen item among all items, by dot product; ties count against
          it.
        - cosine_own, cosine_other: mean cosine of a query with the vector of its item, and with the other vectors.
        - vectors_same_category, vectors_other: mean cosine of the vectors of two items that share a category, or none.
        - queries_same_category, queries_other: mean cosine of a query with the vector of another item that shares a
          category, or none.
        - rank_correlation: Spearman's correlation between the cosines of vectors and those of queries, over all pairs.
    """
    own = np.array(chosen)
    scores = queries @ vectors.T
    own_scores = scores[np.arange(len(own)), own]
    ranks = (scores >= own_scores[:, None]).sum(1)
    directions = unit(vectors[own] - vectors.mean(0))
    of_vectors, of_queries = directions @ directions.T, unit(queries) @ directions.T
    sets = [set(names) for names in categories]
    same = np.array([[bool(a & b) for b in sets] for a in sets])
    apart = ~np.eye(len(own), dtype=bool)
    return {
        "recall@1": float((ranks <= 1).mean()),
        "recall@10": float((ranks <= 10).mean()),
        "mrr": float((1 / ranks).mean()),
        "cosine_own": float(of_queries.diagonal().mean()),
        "cosine_other": _mean(of_queries, apart),
        "vectors_same_category": _mean(of_vectors, same & apart),
        "vectors_other": _mean(of_vectors, ~same & apart),
        "queries_same_category": _mean(of_queries, same & apart),
        "queries_other": _mean(of_queries, ~same & apart),
        "rank_correlation": _spearman(of_vectors[apart], of_queries[apart]),
    }


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _mean(values: np.ndarray, where: np.ndarray) -> float:
    return float(values[where].mean()) if where.any() else 0.0


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation, 0 if one side is constant and the correlation undefined."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)


def draw(catalog: Catalog, queries: np.ndarray, vectors: np.ndarray, chosen: Sequence[int], path: Path) -> None:
    """Draw heat maps of the cosines of `SHOWN` items, sorted by their first category, as a PNG.

    The left map compares vectors with vectors, the right map queries with vectors. The right map has a red diagonal if
    queries point at their items. Colors span the values off the diagonal.

    Args:
        catalog: the catalog of the items.
        queries: float32 [n, d].
        vectors: float32 [items, d].
        chosen: the item that each query is for, n indices.
        path: PNG file to write.
    """
    first = {n: (catalog.items[item].categories or ("",))[0] for n, item in enumerate(chosen)}
    rows = sorted(sorted(first)[:: max(1, len(first) // SHOWN)][:SHOWN], key=lambda n: (first[n], chosen[n]))
    directions = unit(vectors[[chosen[n] for n in rows]] - vectors.mean(0))
    figure = Figure(figsize=(13, 6.4), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [first[n] for n in rows]
    starts = [at for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
    for ax, values, title in (
        (left, directions @ directions.T, "item vector . item vector"),
        (right, unit(queries[rows]) @ directions.T, "query for the item named . item vector"),
    ):
        edge = float(np.abs(values - np.eye(len(rows)) * values).max()) or 1.0
        image = ax.imshow(values, cmap="RdBu_r", vmin=-edge, vmax=edge)
        ax.set_title(title, loc="left", fontsize=11)
        ax.set_yticks(starts, [names[at] for at in starts], fontsize=8)
        ax.set_xticks([])
        figure.colorbar(image, ax=ax, shrink=0.8)
    figure.suptitle(f"Cosines of {len(rows)} items of {catalog.name}, by category", x=0.01, ha="left")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
