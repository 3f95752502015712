"""Options of main.py."""

import math
from dataclasses import dataclass

from train_utils.options import option
from train_utils.param.evaluation import TEST_TASK_HELP, TEST_TASKS
from train_utils.param.model import ENCODER, TEACHERS, ModelOptions

STAGES = ("SFT", "SFT_Export", "SFT_Merge", "SFT_Embedding", "SFT_Test", "SFT_Embedding_Test")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModelOptions):
    """Train, merge and test adapters of RecLM-cgen and RecLM-ret."""

    _groups = {
        "gpu": "device",
        "train_stage": "run",
        "epoch": "optimization",
        "peft": "adapter",
        "teacher": "teacher and loss",
        "SFT_train_tasks": "samples",
        "save_seconds": "checkpoints and log",
        "val_users": "validation",
        "SFT_load": "merging and testing",
        "chat_template": "accepted without effect",
        "embedding_model": "RecLM-ret",
    }

    train_stage: str = option("SFT", "what to run", STAGES)
    data_path: str = option("data/dataset/ml-100k/", "dataset folder")
    backbone: str = option("snap/base/SmolLM2-135M-Instruct", "chat model: a folder or a hub name")
    output: str = option("snap/ml-100k/cgen", "folder of the run: checkpoints, log, adapters")
    seed: int = option(0, "seed of samples and initialization", least=0)
    overwrite: bool = option(False, "replace a run of other settings in --output instead of refusing")
    epoch: float = option(20, "passes over the users, one sample per user and pass; 0.5 is half a pass", above=0)
    batch_size: int = option(8, "samples per forward pass", least=1)
    gradient_accumulation_steps: int = option(8, "forward passes per optimizer step, over all processes", least=1)
    lr: float = option(1e-4, "learning rate of AdamW, float32 adapter weights", above=0)
    weight_decay: float = option(0.01, "weight decay", least=0)
    warmup_ratio: float = option(0.0125, "share of the steps that warm up", least=0, most=1)
    lr_power: float = option(2.0, "power of the polynomial decay", least=0)
    clip: float = option(1.0, "gradient norm at which gradients are cut", above=0)
    peft: str = option(
        "lora",
        "what is trained: LoRA, DoRA, LoRA on weights in four bits (GPU), or every weight",
        ("lora", "dora", "qlora", "full"),
    )
    gradient_checkpointing: bool = option(False, "recompute activations in the backward pass: slower, less memory")
    SFT_actor_lora_r: int = option(16, "rank of LoRA", least=1)
    SFT_actor_lora_a: int = option(8, "alpha of LoRA", least=1)
    loraplus_lr_ratio: float = option(
        1.0, "learning rate of LoRA's second matrices, which start at 0, relative to --lr (LoRA+)", above=0
    )
    lora_dropout: float = option(0.1, "dropout of LoRA", least=0, most=0.99)
    item_index: str = option(
        "title_t",
        "how items are written. title_t: by their titles, as published; token: one new token per item; "
        "token_title: this token, then the title; rq_token_seq: several tokens per item, of the files that "
        "python -m train_utils.make_codes writes",
        ("title_t", "title", "token", "token_title", "rq_token_seq"),
    )
    item_lr: float = option(3e-3, "learning rate of the rows of item tokens", above=0)
    coupled_rows: bool = option(False, "with item tokens: their input rows also take the steps of their output rows")
    item_dropout: float = option(0.2, "dropout of the vectors of item tokens", least=0, most=0.99)
    own_labels: float = option(
        0.0,
        "with one token per item: weight of the model's own distribution after the last history item, as label of an "
        "answer's items",
        least=0,
        most=1,
    )
    average: float = option(
        0.0,
        "decay of the average of the weights, which is saved instead of the last ones; 0 = none",
        least=0,
        most=0.9999,
    )
    sequences: bool = option(
        False, "with item tokens: each epoch also passes over all training events, as histories of bare item tokens"
    )
    conversations: int = option(
        0, "conversations per epoch in addition to these histories; 0 = one per user", least=0, needs="sequences"
    )
    text_weight: float = option(
        1.0,
        "weight of the text's loss in a conversation, that of its items and of histories being 1",
        above=0,
        needs="sequences",
    )
    max_sequence: int = option(50, "items of such a history at most", least=2)
    lora_layers: int = option(
        0, "adapt this many layers at the top (a shorter backward pass); 0 = all, as published", least=0
    )
    teacher: str = option("http://127.0.0.1:2068", "the teacher: " + TEACHERS)
    teacher_record: str = option(
        "",
        "file that gets the teacher's answers to all samples of the run, queried before the "
        "first step; --teacher file:PATH then trains the same without a teacher. Without it "
        "they are queried as they are needed and kept in the run's folder",
    )
    teacher_depth: int = option(50, "teacher items that carry a soft label", least=1)
    soft_labels: float = option(
        0.0, "weight of the teacher's distribution at each choice of a title; 0 = published", least=0, most=1
    )
    history_weight: float = option(0.0, "weight of the choices inside the shown history; 0 = published", least=0)
    scope_mask_type: int = option(3, "title positions in the mean: 1 no forced ones, 2 no forced end, 3 all", (1, 2, 3))
    SFT_train_tasks: str = option(
        "SFTSeqRec-MR:2,SFTSeqRec-CS-MR",
        "what samples ask, TASK[:WEIGHT] with commas between. SFTSeqRec: what comes "
        "next; SFTSeqRanking: a choice of candidates; SFTCategory: one category only, or none of it; SFTItemCount: a "
        "number of items in words; each with -CS (names the control symbols) and -MR (with a chat exchange) "
        "appended; SFTAlignment: the item of a title, the title or the categories of an item; "
        "SFTConversation: turns of a user in the chat; SFTReading: what a message asks, for --reader; ShareChatGPT: a "
        "chat without a request",
    )
    train_data_file: str = option(
        "",
        "JSON file of samples (a list of epochs of {input_text, output_text, task, "
        "input_field_data}) to train on instead of making them; SFT_Export writes it",
    )
    candidate_num: int = option(10, "candidates that SFTSeqRanking shows", least=1)
    max_history: int = option(10, "events shown at most", least=1)
    topk: int = option(10, "maximum number of items requested", least=1)
    list_ratio: float = option(
        1.0,
        "share of samples that ask for a list: half of these for topk items, half for 1..topk; the other samples ask "
        "for one item",
        least=0,
        most=1,
    )
    idx: bool = option(False, "number the list")
    multi_round_ratio: float = option(0.1, "share of samples with a chat exchange", least=0, most=1)
    share_chat_gpt: str = option(
        "data/raw/sharegpt/sharegpt.json", "ShareGPT-form conversations; '' for none", empty=True, exists=True
    )
    max_segment: int = option(500, "tokens that a turn of such a chat may have", least=1)
    max_answer: int = option(
        0, "tokens of an answer without items that are trained where it ends the sample; 0 = all", least=0
    )
    decision_weight: float = option(
        1.0,
        "weight of the tokens that decide between an item and text: the first of each answer, those after an item, and "
        "in text those after a token that precedes items in lists; 1 = as any other token",
        above=0,
    )
    save_seconds: float = option(60.0, "seconds between checkpoints", least=0)
    tensorboard: bool = option(True, "write the log for TensorBoard as well, into the run's folder")
    val_users: int = option(
        0,
        "validation users whose lists are scored at the end of an epoch; the best NDCG@10's "
        "adapter is kept in the folder best. 0 validates never",
        least=0,
    )
    val_epochs: int = option(1, "epochs between validations", least=1, needs="val_users")
    early_stop: int = option(
        0,
        "validations without a better NDCG@10 after which training stops; 0 never stops early",
        least=0,
        needs="val_users",
    )
    SFT_load: str = option(
        "", "adapter to merge or to test, '' takes the newest of the run; for SFT_Embedding the adapter to start from"
    )
    merge_output: str = option("", "folder of the merged model; '' is SFT_Epoch<n> next to the adapter")
    # The test stages; published names.
    SFT_test_task: str = option("SFTTestSeqRec", TEST_TASK_HELP, TEST_TASKS)
    use_control_symbol: bool = option(False, "the instruction names the control symbols")
    test_batch_size: int = option(16, "users per forward pass in tests", least=1)
    gen_max_length: int = option(512, "new tokens at most", least=1)
    max_token_length: int = option(
        1024,
        "tokens that a sample, or the prompt of a test, may have; a sample's history "
        "loses its oldest items until it fits",
        least=1,
    )
    # Accepted so that published command lines run.
    chat_template: str = option(
        "auto", "no effect", ("auto", "llama-3", "llama-2", "chatml"), unused="the tokenizer's own template is used"
    )
    # RecLM-ret
    embedding_model: str = option(
        ENCODER,
        "encoder of the items' texts, as sentence-transformers "
        "names it: a folder or a hub name (published: BAAI/bge-m3)",
    )
    embedding_path: str = option(
        "",
        "file of the item vectors (.npy, with its recipe as .json), made if it is "
        "missing; '' is item_vectors.npy in the dataset folder",
    )
    item_vectors: str = option(
        "text",
        "what the item vectors start from: text alone (published), or half text and half co-occurrence in training",
        ("text", "text+co-occurrence"),
    )
    item_emb: bool = option(True, "train the item vectors")
    only_item_emb_proj: bool = option(
        False, "train the projection and the item vectors; the adapter stays as it is (of --SFT_load, or untrained)"
    )
    emb_alpha: float = option(1.0, "weight of the retrieval loss, relative to the text loss", least=0)

    @property
    def has_codes(self) -> bool:
        """Whether items are written as tokens of their own, and not spelled by their titles."""
        return self.item_index not in ("title_t", "title")

    @property
    def epochs_begun(self) -> int:
        """Number of epochs that the run begins; the last one may be a part."""
        return math.ceil(self.epoch)
