"""Dataset with obvious answers, for the teacher's tests: every user follows a ring of items forward."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from unirec_tables import unirec_table

torch.set_num_threads(1)  # tiny tensors: a second thread would only wait, and spin on shared cores

N_ITEMS = 30
N_USERS = 40
TINY = ("--embedding_size", "16", "--hidden_size", "16", "--inner_size", "32", "--hidden_dropout_prob", "0.1")


def raw_id(number: int) -> str:
    """Return the raw id of an item index; the two are never equal, so that a mix-up shows."""
    return f"m{number + 100}"


def next_on_ring(number: int) -> int:
    return number % N_ITEMS + 1


def write_ring(folder: Path) -> Path:
    """Write UniRec files of the ring; users start at different items and have different lengths."""
    folder.mkdir(parents=True)
    rows = []
    for user in range(1, N_USERS + 1):
        item = user % N_ITEMS + 1
        for _ in range(5 + user % 17):
            rows.append((user, item))
            item = next_on_ring(item)
    users, items = np.array(rows).T
    frame = unirec_table(user_id=users, item_id=items)
    back = frame.groupby("user_id").cumcount(ascending=False)
    for name, in_part in (("train", back >= 2), ("valid", back == 1), ("test", back == 0)):
        frame[in_part].reset_index(drop=True).to_pickle(folder / f"{name}.pkl")
    history = frame[back >= 2].groupby("user_id")["item_id"].agg(np.array)
    unirec_table(user_id=history.index.to_numpy(), item_seq=history.to_numpy()).to_pickle(folder / "user_history.pkl")
    maps = {
        "user2id": {"[PAD]": 0} | {f"u{user}": user for user in range(1, N_USERS + 1)},
        "item2id": {"[PAD]": 0} | {raw_id(item): item for item in range(1, N_ITEMS + 1)},
    }
    maps |= {
        "id2user": {v: k for k, v in maps["user2id"].items()},
        "id2item": {v: k for k, v in maps["item2id"].items()},
    }
    pd.to_pickle(maps, folder / "map.pkl")
    even = [raw_id(item) for item in range(2, N_ITEMS + 1, 2)]
    (folder / "category.jsonl").write_text(pd.Series({"even": even}).to_json(), encoding="utf-8")
    return folder
