"""Options of python -m train_utils.engines.export."""

from dataclasses import dataclass

from train_utils.options import Options, option
from train_utils.param.model import TEACHERS, TRUST


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """Write the request of a shortlist to a server without this project's plugin, or its grammar; read its answer."""

    _groups = {"model_name": "model and catalog", "history": "user", "server": "server", "form": "output"}

    model_name: str = option(help="folder of the merged model that the server serves; its weights are not read")
    data_path: str = option(help="dataset folder")
    teacher: str = option("", "who chooses the candidates: " + TEACHERS + "; '' takes the most popular items")
    trust_remote_code: bool = option(False, TRUST)
    history: str = option("[]", 'the user\'s items, ids or titles, oldest first, as JSON: \'["Alien", "Heat"]\'')
    rules: str = option("{}", 'item rules as JSON: \'{"categories": ["Comedy"]}\'')
    users: str = option("", 'file of many users instead, JSON lines: {"history": [...], "rules": {...}}', exists=True)
    max_history: int = option(10, "newest items of a history that the prompt shows", least=1)
    topk: int = option(10, "items of the list", least=1, most=64)
    candidates: int = option(60, "candidates of the list: the teacher's best admissible items", least=1, most=64)
    server: str = option("vllm", "server of the request", ("vllm", "sglang", "tensorrt_llm", "llamacpp"))
    served_model: str = option("", "name under which the server serves the model; '' leaves it to the server")
    form: str = option("request", "the body of POST /v1/completions, or only the grammar", ("request", "grammar"))
    answer: str = option("", "file of the server's answer to the request, - for standard input: print its items")
