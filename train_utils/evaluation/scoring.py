"""Scoring of lists per user."""

from train_utils.catalog import Catalog
from train_utils.evaluation.cases import EvalCase, Prediction
from train_utils.evaluation.metrics import diversity, novelty, score_list, self_information

_NEAR = ("hr@10", "ndcg@10", "ood@10")


class Scorer:
    """Scorer of predictions: makes the records of a result file."""

    def __init__(self, catalog: Catalog):
        self.catalog = catalog
        ids = (item.id for item in catalog.items)
        self.information = self_information(dict(zip(ids, catalog.training_events, strict=True)))
        self.categories = {item.id: frozenset(item.categories) for item in catalog.items}

    def record(self, row: EvalCase, answer: Prediction) -> dict:
        """Return the record of one user.

        Records of unconstrained models also have each title as written, the rates that accept near titles
        (`near_hr@10`, `near_ndcg@10`, `near_ood@10`), and whether the list was plain text (`plain_list`).
        """
        ids, target = self.catalog.ids, self.catalog.items[row.target].id
        kept_to = {i for i in answer.items if i is not None and row.spec.admits(self.catalog.index[i], self.catalog)}
        metrics = score_list(
            answer.items,
            target,
            history=set(ids(row.shown)),
            k_asked=row.spec.k,
            category=kept_to if row.spec.category else None,
            candidates=kept_to if row.spec.candidates else None,
        )
        metrics |= {
            "novelty@10": novelty(answer.items, self.information),
            "diversity@10": diversity(answer.items, self.categories),
        }
        written: dict[str, object] = {}
        if answer.completion is not None:
            written |= {"prompt": answer.prompt, "completion": answer.completion}
        if answer.named is not None:
            near = [None if title.near is None else self.catalog.items[title.near].id for title in answer.named]
            scores = score_list(near, target, history=set(ids(row.shown)), k_asked=row.spec.k)
            metrics |= {f"near_{name}": scores[name] for name in _NEAR} | {"plain_list": float(answer.plain)}
            written["titles"] = [
                {"text": title.text, "edits": title.edits, "near": item}
                for title, item in zip(answer.named, near, strict=True)
            ]
        return {
            "user": row.user,
            "target": target,
            "history": ids(row.shown),
            "asked": row.spec.to_dict(self.catalog),
            "items": answer.items,
            "metrics": metrics,
            **written,
        }
