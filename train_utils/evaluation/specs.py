"""What a test asks for, cut from `EvalOptions` into records that its parts need, and checked before anything is loaded.

`SplitSpec` is about the users, `DecodingSpec` about how a model writes their lists, `PriorSpec` about the scores that
enter decoding. `EvalPlan` holds what every test needs, `ModelPlan` what the test of a language model needs.
"""

from dataclasses import dataclass, fields, replace

from train_utils.evaluation.eval_task import EvalTask
from train_utils.models.retrieval_head import has_retrieval
from train_utils.param.evaluation import Decoding, EvalEngine, EvalOptions, HideSeen, PriorReduce, PriorSource, Split


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """Users under test: what each is shown, is asked for, and may be listed.

    Attributes:
        split: which event is the target.
        users: users drawn by seed; 0 takes all.
        seed: seed of the draw, of the requests and of the exchanges.
        max_history: events that a prompt shows at most.
        marked_history: whether a prompt writes the history as answers are written, between control tokens.
        topk: items asked for.
        candidate_num: candidates that a ranking request shows.
        hide_seen: which consumed items may not be listed.
        enforce_request: whether only items that satisfy the request (a category, candidates) may be listed.
    """

    split: Split
    users: int
    seed: int
    max_history: int
    marked_history: bool
    topk: int
    candidate_num: int
    hide_seen: HideSeen
    enforce_request: bool

    @classmethod
    def from_options(cls, options: EvalOptions) -> "SplitSpec":
        return cls(**{f.name: getattr(options, f.name) for f in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class DecodingSpec:
    """How a model writes its lists.

    Attributes:
        decoding: how titles are found.
        engine: "own", "hf" for transformers' generate, or "vllm" for a server.
        constrained: whether titles are those of the catalog.
        distinct: whether a list names an item once at most; has no effect where titles are not constrained.
        force_items: whether every item of the list is opened for the model.
        idx: whether the list is numbered.
        max_new_tokens: tokens of an answer at most.
        max_token_length: tokens of a prompt at most.
        batch_size: users per forward pass.

    Raises:
        ValueError: a combination without effect or sense.
    """

    decoding: Decoding
    engine: EvalEngine
    constrained: bool
    distinct: bool
    force_items: bool
    idx: bool
    max_new_tokens: int
    max_token_length: int
    batch_size: int

    def __post_init__(self):
        if self.decoding != "greedy" and not self.constrained:
            raise ValueError(f"`decoding` {self.decoding} compares the titles of the catalog; it needs `use_CBS`")
        if self.engine == "shortlist" and not (self.decoding == "greedy" and self.constrained and self.force_items):
            raise ValueError(
                "`engine` shortlist writes only lists of a prior's best items; it needs `decoding` greedy, `use_CBS` "
                "and `force_items`"
            )
        if self.engine == "vllm" and (self.decoding == "best" or not self.constrained):
            raise ValueError(
                "`engine` vllm decodes under the constraint; it needs `decoding` greedy or rank, and `use_CBS`"
            )
        if self.engine == "hf" and (self.decoding != "greedy" or self.force_items or not self.constrained):
            raise ValueError(
                "`engine` hf is the oracle of greedy lists; it needs `decoding` greedy and `use_CBS`, and "
                "has no `force_items`"
            )

    @classmethod
    def from_options(cls, options: EvalOptions) -> "DecodingSpec":
        retrieves = has_retrieval(options.model_name)
        at_server = options.engine in ("vllm", "shortlist")
        if at_server != bool(options.url):
            raise ValueError(
                f"`engine` is {options.engine} and `url` {options.url!r}; give `url` with `engine` vllm or shortlist"
            )
        if retrieves and options.engine != "own":
            raise ValueError(
                f"`engine` {options.engine} spells titles; a model of RecLM-ret retrieves them, take `engine` own"
            )
        return cls(
            decoding=options.decoding,
            engine=options.engine,
            # Retrieved items are always items of the catalog, with or without --use_CBS.
            constrained=options.use_CBS or retrieves,
            distinct=options.CBS_type == 2,
            force_items=options.force_items,
            idx=options.idx,
            max_new_tokens=options.gen_max_length,
            max_token_length=options.max_token_length,
            batch_size=options.batch_size,
        )

    @property
    def opens_items(self) -> bool:
        """Whether items are opened for the model, so that it does not count them itself."""
        return self.force_items or self.decoding == "rank"


@dataclass(frozen=True, kw_only=True)
class PriorSpec:
    """Scores of the items that enter decoding.

    Attributes:
        source: where the scores are from.
        weight: weight of the prior; None for the best for validation users.
        reduce: what the prior says of a branch: the sum or the maximum below it.
        users: validation users that choose the weight.
        teacher: the teacher, for that source.
    """

    source: PriorSource
    weight: float | None
    reduce: PriorReduce
    users: int
    teacher: str

    @classmethod
    def from_options(cls, options: EvalOptions) -> "PriorSpec | None":
        """Return the prior, None for no prior."""
        if not options.prior:
            return None
        by_decoding: PriorReduce = "max" if options.decoding == "greedy" else "sum"
        return cls(
            source=options.prior,
            weight=_prior_weight(options),
            reduce=by_decoding if options.prior_reduce == "auto" else options.prior_reduce,
            users=options.prior_users,
            teacher=options.teacher,
        )


def _prior_weight(options: EvalOptions) -> float | None:
    if options.engine == "shortlist":  # the prior only chooses the candidates
        return 1.0
    return None if options.prior_weight == "auto" else float(options.prior_weight)


@dataclass(frozen=True, kw_only=True)
class EvalPlan:
    """What every test needs: of a baseline, of the lists of another system, or of a model.

    Raises:
        ValueError: the task and the users do not fit.
    """

    task: EvalTask
    split: SplitSpec

    def __post_init__(self):
        topk, shown = self.split.topk, self.split.candidate_num
        if self.task.kind == "ranking" and topk > shown:
            raise ValueError(f"`candidate_num` is {shown}, wanted `topk` ({topk}) or more")

    @classmethod
    def from_options(cls, options: EvalOptions) -> "EvalPlan":
        """Return the plan of `task_test.py` for what its options name: a model, a ranker or a run file.

        Raises:
            ValueError: not exactly one of them is named, or options contradict each other.
        """
        named = [name for name in ("model_name", "ranker", "run_file") if getattr(options, name)]
        if len(named) != 1:
            raise ValueError(f"expected exactly one of `model_name`, `ranker` and `run_file`, got {len(named)}")
        if options.model_name:
            return ModelPlan.from_options(options)
        if options.ranker == "teacher" and options.hide_seen == "none":
            raise ValueError("`ranker` teacher hides what it is shown; use `hide_seen` visible or all")
        return cls(task=_task(options), split=SplitSpec.from_options(options))


@dataclass(frozen=True, kw_only=True)
class ModelPlan(EvalPlan):
    """What the test of a language model needs.

    Attributes:
        decoding: how the model writes its lists.
        prior: scores that enter decoding; None for none.
        exchanges: file of the chat exchanges of the -MR tasks.

    Raises:
        ValueError: the parts contradict each other.
    """

    decoding: DecodingSpec
    prior: PriorSpec | None
    exchanges: str

    def __post_init__(self):
        super().__post_init__()
        if self.task.kind == "embedding":
            raise ValueError(
                "`SFT_test_task` SFTTestEmbedding looks into RecLM-ret; run main.py --train_stage SFT_Embedding_Test"
            )
        if self.task.kind == "item_count" and self.decoding.opens_items:
            raise ValueError(
                "`SFT_test_task` SFTTestItemCount asks whether the model counts; `decoding` rank and "
                "`force_items` count for it, take `decoding` greedy or best"
            )
        if self.split.enforce_request and not self.decoding.constrained:
            raise ValueError("`enforce_request` makes rules of requests; it needs `use_CBS`")
        if self.decoding.engine == "shortlist" and not self.prior:
            raise ValueError("`engine` shortlist lists the best items of a prior; give `prior` teacher or popularity")
        if self.prior and not self.decoding.constrained:
            raise ValueError(f"`prior` {self.prior.source} scores the titles of the catalog; it needs `use_CBS`")
        if self.prior and self.prior.weight is None and self.split.split == "valid":
            raise ValueError("`prior_weight` auto is chosen by the validation split; give a number to score that split")

    @classmethod
    def from_options(cls, options: EvalOptions) -> "ModelPlan":
        """Return the plan of a model's test.

        Raises:
            ValueError: no model is named, or options contradict each other.
        """
        if not options.model_name:
            raise ValueError("`model_name` is missing: a merged model folder")
        return cls(
            task=_task(options),
            split=SplitSpec.from_options(options),
            decoding=DecodingSpec.from_options(options),
            prior=PriorSpec.from_options(options),
            exchanges=options.share_chat_gpt,
        )

    @classmethod
    def for_multi_round(cls, options: EvalOptions) -> "ModelPlan":
        """Return the plan of `task_MR_test.py`, in which the model alone decides when it recommends.

        Raises:
            ValueError: there is no file of questions, or an option would force the recommendation.
        """
        if not options.GSM8K_data_path:
            raise ValueError("`GSM8K_data_path` is missing: GSM8K's test.jsonl, or a saved dataset")
        if options.ranker or options.run_file or options.prior or options.engine != "own":
            raise ValueError(
                "the multi-round test is of a model alone, by the engine; leave out `ranker`, `run_file`, `prior` and "
                "`engine`"
            )
        if options.decoding == "rank" or options.force_items:
            raise ValueError(
                "the multi-round test asks when a model opens an item; `decoding` rank and `force_items` open "
                "them for it, take `decoding` greedy or best"
            )
        return cls.from_options(options)


def _task(options: EvalOptions) -> EvalTask:
    task = EvalTask.parse(options.SFT_test_task)
    return replace(task, names_symbols=task.names_symbols or options.use_control_symbol)
