"""Options of python -m train_utils.evaluation.conversation."""

from dataclasses import dataclass

from train_utils.options import option
from train_utils.param.chat import READER, READERS
from train_utils.param.model import ENCODER, TEACHERS, ModelOptions

# of the gold conversations; "held_out" are those that the reader was never mended against, where the file has some
SPLITS = (
    "dev",
    "test",
    "unseen",
    "fresh",
    "visitors",
    "visitors2",
    "visitors3",
    "visitors4",
    "visitors6",
    "visitors7",
    "visitors8",
    "visitors11",
    "held_out",
    "unread",
    "unread2",
    "unread3",
)


@dataclass(frozen=True, kw_only=True)
class ConversationOptions(ModelOptions):
    """Score conversations: how well messages are read, and with a model, how simulated users get on with the chat."""

    _groups = {"gpu": "device", "data_path": "reading", "model_name": "simulated users"}

    data_path: str = option("data/dataset/ml-100k", "dataset folder of the catalog")
    requests: str = option("", "file of the conversations, JSON lines; '' takes those of ml-100k")
    split: str = option(
        "test",
        "which of them; '' takes all. The reader was developed on dev",
        ("", *SPLITS),
        empty=True,
    )
    embedding_model: str = option(ENCODER, "encoder for words that mean a category; '' reads names only", empty=True)
    reader: str = option("rules", READER, READERS)
    model_name: str = option("", "model that simulated users of the dataset talk with; '' for none")
    dialogues: bool = option(True, "simulated users talk with the model; --no-dialogues scores its reading alone")
    teacher: str = option("", "of the chat, and filtered by the same rules as its rival: " + TEACHERS)
    users: int = option(0, "users drawn by seed; 0 takes all", least=0)
    free_users: int = option(
        96, "the first so many of them also talk with the model without a reader, which takes longest", least=0
    )
    seed: int = option(0, "seed of the draw and of the wordings", least=0)
    choose_weights: bool = option(
        False,
        "first choose the weights of model, teacher and similarity on validation users, and write them next to the "
        "model, where the chat finds them",
        needs="model_name",
    )
    output: str = option("", "result file; '' writes conversation.json to the model's folder")
