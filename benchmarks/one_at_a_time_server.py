"""Rival of unirec/async_server.py: the `immediately` path of the published server, one request after the other.

    python benchmarks/one_at_a_time_server.py --checkpoint FILE --data FOLDER

Written from its described behavior: the model runs inside the event loop on a batch of one, and looks up the embeddings
of the whole catalog again per request. The softmax of every item outside the history is raised by 1, all are lowered by
1, and torch.topk takes the list. FastAPI and uvicorn replace sanic, so that both servers share their HTTP.
"""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in unirec/async_server.py

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unirec"))

from sasrec_model import SASRec, load_checkpoint

from train_utils.command import run_cli
from train_utils.dataset_folder import PAD
from train_utils.options import option, parse
from train_utils.unirec_folder import UniRecFolder


@dataclass(frozen=True, kw_only=True)
class Options:
    """Serve a teacher as the published server does."""

    checkpoint: str = option(help="file of a trained SASRec")
    data: str = option(help="folder of its UniRec files")


class OneAtATime:
    """Teacher that answers one history at a time.

    Args:
        model: the trained model.
        raw_ids: raw ids by item index, padding first.
    """

    def __init__(self, model: SASRec, raw_ids: tuple[str, ...]) -> None:
        self.model = model.eval().requires_grad_(False)
        self.raw_ids = raw_ids
        self.item2id = {raw: number for number, raw in enumerate(raw_ids)}
        self.all_items = torch.arange(len(raw_ids))

    def top_k(self, history: list[str], k: int) -> list[str]:
        """Return the k best items outside the history; probabilities that agree to about 1e-7 lose their order."""
        length = self.model.max_seq_len
        window = [PAD] * (length - len(history)) + history[-length:]
        item_seq = torch.tensor([[self.item2id[item] for item in window]])
        _, scores, _, _ = self.model(item_seq=item_seq, item_id=self.all_items)
        probability = scores.softmax(dim=1)[0]
        candidates = list(set(self.item2id) - set(history) - {PAD})
        probability[torch.tensor([self.item2id[item] for item in candidates])] += 1
        probability -= 1
        probability[0] = -torch.inf
        return [self.raw_ids[item] for item in torch.topk(probability, k).indices.tolist()]


def build_app(teacher: OneAtATime) -> FastAPI:
    app = FastAPI()

    @app.post("/inference")
    async def inference(request: Request) -> JSONResponse:
        body = await request.json()
        return JSONResponse({"inference": [teacher.top_k(body["item_lists"][0], body["k"])]})

    return app


def main() -> None:
    options = parse(Options)
    _, raw_ids = UniRecFolder(options.data).ids()
    app = build_app(OneAtATime(load_checkpoint(Path(options.checkpoint)).model, raw_ids))
    # asyncio sets TCP_NODELAY only on sockets that name their protocol.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        print(f"one request at a time at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    run_cli(main)
