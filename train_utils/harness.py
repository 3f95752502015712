"""RecLM as a model of lm-evaluation-harness, so that standard suites score it as it is served: under its constraint.

`python -m train_utils.harness` is the command `lm_eval` with `reclm` as an additional model.
"""

import sys

import torch

try:
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.registry import register_model
    from lm_eval.models.huggingface import HFLM
except ImportError:
    if __name__ != "__main__":
        raise
    sys.exit("error: lm-evaluation-harness is missing; pip install lm_eval==0.4.13")

from train_utils.command import run_cli
from train_utils.constraint.constraint import Constraint
from train_utils.constraint.logits_processor import CatalogLogitsProcessor
from train_utils.models.backbone import own_generation_config
from train_utils.recommender import Recommender


@register_model("reclm")
class RecLM(HFLM):
    """Merged folder, base model or adapter folder, loaded like the model of a test.

    Log-likelihoods are the model's own; the constraint acts on generation. The results report how many texts were
    generated and how many of them open an item, which no standard suite asks for.

    Args:
        pretrained: the model.
        data_path: dataset folder of the catalog that constrains generation; "" for no constraint.
        device: "cpu", "cuda:0" or "auto".
        dtype: as `--dtype` of `task_test.py`.
        backbone: base model of an adapter, instead of the one that its configuration names.
        trust_remote_code: whether code in the folder of a model may run.
        more: options of the harness, such as batch_size.

    Raises:
        ValueError: `pretrained` cannot be loaded, the device is missing, or the dataset is missing or broken.
    """

    def __init__(
        self,
        pretrained: str,
        data_path: str = "",
        device: str | None = None,
        dtype: str = "auto",
        backbone: str = "",
        trust_remote_code: bool = False,
        **more,
    ):
        loaded = Recommender.load(
            pretrained,
            data_path or None,
            device=device or "auto",
            dtype=dtype,
            backbone=backbone,
            trust_remote_code=trust_remote_code,
        )
        self.chat, model, tokenizer = loaded.renderer, loaded.model, loaded.renderer.tokenizer
        super().__init__(model, tokenizer=tokenizer, backend="causal", **more)
        # Settings that a suite does not pass are the ones of serving. An inherited configuration may penalize
        # repetition, or suppress the control tokens.
        pad = self.chat.end_of_turn if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        model.generation_config = own_generation_config(model, self.chat.end_of_turn, pad)
        self.written, self.with_items = 0, 0

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], **generation_kwargs
    ) -> torch.Tensor:
        rows, width = context.shape
        if self.chat.trie:
            generation_kwargs["logits_processor"] = [
                CatalogLogitsProcessor(
                    Constraint(self.chat.trie),
                    self.chat.end_of_turn,
                    generation_kwargs.get("num_beams", 1),
                    [width] * rows,
                )
            ]
        texts = super()._model_generate(context, max_length, stop, **generation_kwargs)
        self.written += rows
        self.with_items += int((texts[:, width:] == self.chat.soi).any(1).sum())
        return texts

    def get_model_info(self) -> dict:
        """Return the model's entry in the result file of the harness."""
        counted = {"reclm_texts": self.written, "reclm_texts_with_items": self.with_items}
        return super().get_model_info() | counted


if __name__ == "__main__":
    run_cli(cli_evaluate)
