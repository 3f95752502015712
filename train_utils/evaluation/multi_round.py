"""Multi-round test: a mathematics exchange, a recommendation and a GSM8K question in one conversation.

It measures whether a model that was trained to recommend still solves math questions, and writes control tokens in
recommendations only.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from accelerate import PartialState

from train_utils.catalog import load_catalog
from train_utils.decoding.request import Completion, Request
from train_utils.evaluation.cases import EvalCase, eval_cases, messages_of
from train_utils.evaluation.gsm8k import Question, load_questions, read_answer
from train_utils.evaluation.llm import LLMRecommender, batches, load_llm
from train_utils.evaluation.partial_results import delete_partials, earlier_commits, run_resumable
from train_utils.evaluation.result_reader import is_user_record
from train_utils.evaluation.results import (
    default_output,
    result_file,
    result_identity,
    result_inputs,
    result_of,
    write_result,
)
from train_utils.evaluation.run import warn_impossible
from train_utils.evaluation.scoring import Scorer
from train_utils.evaluation.specs import ModelPlan
from train_utils.manifest import manifest
from train_utils.models.backbone import with_dtype
from train_utils.param.evaluation import EvalOptions
from train_utils.processes import init_processes, own_device
from train_utils.prompts.messages import Message, message
from train_utils.prompts.renderer import Chat

DEMONSTRATION = (
    message("user", "A baker makes 4 trays of 12 rolls each and sells 30 rolls. How many rolls are left?"),
    message("assistant", "The baker makes 4 * 12 = 48 rolls. After the sale 48 - 30 = 18 rolls are left.\n#### 18"),
)


def run_multi_round(options: EvalOptions) -> tuple[Path, dict]:
    """Score a model by conversations of one user and one question each.

    Each record has the metrics of the recommendation, and three more: `gsm8k` (the number is right), `csn_items` (the
    recommendation has exactly as many `<SOI>` and `<EOI>` as items were requested) and `csn_none` (the answer to the
    question has none). Control tokens are counted on token ids. The test is resumable and shared by processes, like
    `run_test`.

    Returns:
        The result file and its content.

    Raises:
        ValueError: as `run_test`, or the file of questions is missing or broken, or an option would force the
            recommendation.
    """
    plan = ModelPlan.for_multi_round(options)
    output = Path(options.output) if options.output else default_output(options, "two_turns")
    options = with_dtype(options)
    processes = init_processes(options.gpu)
    with result_file(output, options, processes.is_main_process):
        return output, _run(output, options, plan, processes)


def _run(output: Path, options: EvalOptions, plan: ModelPlan, processes: PartialState) -> dict:
    catalog, questions = load_catalog(options.data_path), load_questions(options.GSM8K_data_path)
    users = eval_cases(catalog, plan.task, plan.split)
    if plan.decoding.constrained and processes.is_main_process:
        warn_impossible(users, plan.split.hide_seen)
    order = random.Random(options.seed).sample(range(len(questions)), len(questions))
    asked = {row.user: questions[order[index % len(order)]] for index, row in enumerate(users)}
    llm = LLMRecommender(catalog, load_llm(catalog, own_device(options, processes)), plan, [DEMONSTRATION])
    made_from = manifest(result_identity(options), result_inputs(options))
    scorer = Scorer(catalog)

    def work(rows: Sequence[EvalCase]) -> list[dict]:
        return _dialogues(rows, asked, llm, scorer)

    records, seconds = run_resumable(
        batches(users, llm), work, output, made_from, processes, "multi-round", is_user_record
    )
    if others := earlier_commits(output, made_from):
        made_from["begun_at_commits"] = others
    more = {"sequence_weight": llm.sequence_weight}
    result = result_of(made_from, [records[row.user] for row in users], catalog, options.seed, more)
    if processes.is_main_process:
        write_result(output, result, seconds)
    delete_partials(output, processes)
    return result


def _dialogues(rows: Sequence[EvalCase], asked: dict[str, Question], llm: LLMRecommender, scorer: Scorer) -> list[dict]:
    """Run one batch of conversations and return their records."""
    chat, plan = llm.chat, llm.plan
    requests = llm.requests(rows)
    lists = llm.complete(requests)
    prompts = [
        chat.render(
            [
                *messages_of(row, DEMONSTRATION, plan.task, plan.split),
                said(recommended.ids, chat, llm.titles.by_title.get),
                message("user", asked[row.user].text),
            ],
            prompt=True,
        ).ids
        for row, recommended in zip(rows, lists, strict=True)
    ]
    sums = llm.complete(
        [
            Request(
                prompt,
                request.rules,
                answer_at=len(prompt),
                constrained=plan.decoding.constrained,
                max_new_tokens=plan.decoding.max_new_tokens,
            )
            for prompt, request in zip(prompts, requests, strict=True)
        ]
    )
    return [
        _record(scorer.record(row, llm.answer(request, recommended)), row, recommended, asked[row.user], answered, chat)
        for row, request, recommended, answered in zip(rows, requests, lists, sums, strict=True)
    ]


def said(ids: Sequence[int], chat: Chat, item_of: Callable[[str], int | None]) -> Message:
    """Convert a model's answer to a message of the continued conversation; an unknown title becomes plain text."""
    return message("assistant", *chat.parts_of(ids, lambda title: item_of(chat.decode(title).strip())))


def _record(
    record: dict, row: EvalCase, recommended: Completion, question: Question, answered: Completion, chat: Chat
) -> dict:
    text = chat.decode(answered.ids)
    number = read_answer(text)
    opened, closed = (recommended.ids.count(token) for token in (chat.soi, chat.eoi))
    strays = sum(token in (chat.soi, chat.eoi) for token in answered.ids)
    metrics = {
        "gsm8k": float(number == question.gold),
        "csn_items": float(opened == closed == row.spec.k),
        "csn_none": float(strays == 0),
    }
    return record | {
        "metrics": record["metrics"] | metrics,
        "question": question.text,
        "gold": str(question.gold),
        "answer": None if number is None else str(number),
        "mathematics": text,
        "control_symbols": strays,
    }
