"""The wire form of the server: requests checked by shape and turned into rows; answers; limits."""

import re
from itertools import islice
from typing import Annotated

import orjson
from fastapi import Response
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from teacher_model import Query, TeacherAnswer

from train_utils.teacher.ranking import Catalog, RequestError, Row, check_category, check_k, cold_rows, to_ints

MAX_ROWS = 4096
MAX_LIST = 10_000
MAX_TEXT = 256
MAX_VALUES = 2**18  # JSON values in a body: reading them takes some 30 ms, in which the server answers nobody else
MAX_FIELDS = 64  # of a body; the models have 9, and pydantic keeps a report of each unknown one
MAX_ANSWER = 2**24  # ids in an answer: the whole ranking of a million items for each of 4096 rows would be 32 GB

RawId = Annotated[
    str,
    StringConstraints(max_length=MAX_TEXT),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": MAX_TEXT}, {"type": "integer"}]}),
]
# fail_fast: each further fault would take a kilobyte, and only the first is named.
IdList = Annotated[list[RawId], Field(max_length=MAX_LIST, fail_fast=True)]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]


_FIELD = re.compile(rb'"\s*:')


class RankingRequest(BaseModel):
    """One history a row; the answer ranks each row's candidates among all items outside its history."""

    model_config = ConfigDict(
        extra="forbid",
        coerce_numbers_to_str=True,  # ids may be integers
        json_schema_extra={
            "examples": [{"users": ["1"], "item_lists": [["50", "181"]], "candidate_item_lists": [["172", "1"]]}]
        },
    )

    users: Annotated[
        list[RawId],
        Field(
            min_length=1, max_length=MAX_ROWS, fail_fast=True, description="A label for each row; need not be known."
        ),
    ]
    item_lists: Annotated[
        list[IdList],
        Field(
            min_length=1, max_length=MAX_ROWS, fail_fast=True,
            description="The history of each row, oldest item first; an empty one is answered by popularity.",
        ),
    ]  # fmt: skip
    item_lengths: Annotated[
        Annotated[list[StrictInt], Field(max_length=MAX_ROWS, fail_fast=True)] | None,
        Field(description="When given, must be the lengths of item_lists."),
    ] = None
    candidate_item_lists: Annotated[
        Annotated[list[IdList], Field(max_length=MAX_ROWS, fail_fast=True)] | None,
        Field(description="For each row, the only items that are looked at."),
    ] = None
    dataset: Annotated[Text | None, Field(description="Which dataset; needed where the server holds several.")] = None
    immediately: Annotated[StrictBool, Field(description="Put this request before all that wait.")] = False

    @model_validator(mode="after")
    def lengths_agree(self) -> "RankingRequest":
        rows = len(self.item_lists)
        for name in ("users", "item_lengths", "candidate_item_lists"):
            value = getattr(self, name)
            if value is not None and len(value) != rows:
                raise ValueError(f"{name} has {len(value)} entries, item_lists has {rows}")
        if self.item_lengths is not None and self.item_lengths != [len(items) for items in self.item_lists]:
            raise ValueError("item_lengths disagrees with the lengths of item_lists")
        return self


class InferenceRequest(RankingRequest):
    """One history a row; the answer holds its k best items outside the history."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"users": ["1"], "item_lists": [["50", "181"]], "k": 10}]}
    )

    k: Annotated[
        int, Field(ge=1, le=MAX_ANSWER, strict=True, description="Items wanted a row, at most the size of the catalog.")
    ]
    target_category: Annotated[
        Text | Annotated[list[Text | None], Field(max_length=MAX_ROWS, fail_fast=True)] | None,
        Field(description='"+C": only items of category C; "-C": none of them. One for all rows, or a list.'),
    ] = None
    return_scores: Annotated[StrictBool, Field(description="Return the probability of each item as well.")] = False

    @model_validator(mode="after")
    def categories_agree(self) -> "InferenceRequest":
        if isinstance(self.target_category, list) and len(self.target_category) != len(self.item_lists):
            given, rows = len(self.target_category), len(self.item_lists)
            raise ValueError(f"target_category has {given} entries, item_lists has {rows}")
        return self


class InferenceAnswer(BaseModel):
    """A list for each row, in the order of the request."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"inference": [["172", "174"]]}]})

    inference: Annotated[
        list[list[str]],
        Field(description="Ids, best first; fewer than k where candidates, category or catalog end."),
    ]
    scores: Annotated[
        list[list[float]],
        Field(description="With return_scores: softmax probability of each id over all it competed with."),
    ] = []
    cold: Annotated[
        list[int], Field(description="Rows with an empty history, answered by popularity; absent if none.")
    ] = []


class RankingAnswer(BaseModel):
    """The ranks of each row's candidates, in the order of the request."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ranking": [[1, 214]]}]})

    ranking: Annotated[list[list[int]], Field(description="1 is the best of all items outside the row's history.")]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


class Live(BaseModel):
    """The process answers."""

    status: str


class DatasetHealth(BaseModel):
    """What answers for one dataset."""

    items: Annotated[int, Field(description="Size of the catalog.")]
    checkpoint: str
    history_length: Annotated[int, Field(description="How many of a history's last items the model reads.")]


class Ready(BaseModel):
    """The models are loaded."""

    status: str
    max_rows: Annotated[int, Field(description="Rows that one request may hold.")]
    datasets: dict[str, DatasetHealth]


def check_fields(body: bytes) -> None:
    """RequestError for more than MAX_FIELDS fields; a quote before a colon counts as one, in a text too."""
    if body.count(b":") > MAX_FIELDS and len(list(islice(_FIELD.finditer(body), MAX_FIELDS + 1))) > MAX_FIELDS:
        raise RequestError(f"the body has more than {MAX_FIELDS} fields; see /docs for those of a request")


def json_response(content: dict) -> Response:
    """NumPy arrays and plain values as JSON."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


def to_query(request: RankingRequest, dataset: str, catalog: Catalog) -> Query:
    """Rows in item ints; RequestError says what the catalog lacks."""
    histories = to_ints(catalog, request.item_lists, "item_lists")
    rows = len(histories)
    candidates: list[tuple[int, ...]] | list[None] = [None] * rows
    if request.candidate_item_lists is not None:
        candidates = to_ints(catalog, request.candidate_item_lists, "candidate_item_lists")
    k, category = None, None
    if isinstance(request, InferenceRequest):
        k, category = request.k, request.target_category
        check_k(catalog, k)
        if rows * k > MAX_ANSWER:
            raise RequestError(f"k is {k} for {rows} rows, at most {MAX_ANSWER // rows} fit an answer; send fewer rows")
    elif request.candidate_item_lists is None:
        raise RequestError("ranking needs candidate_item_lists")
    categories = category if isinstance(category, list) else [category] * rows
    for target in set(categories):
        check_category(catalog, target)
    return Query(dataset, tuple(map(Row, histories, candidates, categories)), k)


def split_query(query: Query, size: int) -> list[tuple[Query, int]]:
    """Pieces of at most `size` rows with their sizes, so that one big request does not hold the worker."""
    starts = range(0, len(query.rows), size)
    pieces = [Query(query.dataset, query.rows[start : start + size], query.k) for start in starts]
    return [(piece, len(piece.rows)) for piece in pieces]


def join_answers(answers: list[TeacherAnswer]) -> TeacherAnswer:
    """Return the pieces' answers as one."""
    return TeacherAnswer(
        [row for answer in answers for row in answer.items],
        [row for answer in answers for row in answer.probabilities],
        [row for answer in answers for row in answer.ranks],
    )


def inference_content(query: Query, answer: TeacherAnswer, scores: bool) -> dict:
    """Return the body of an `InferenceAnswer`, without the fields that were not requested."""
    content: dict = {"inference": answer.items}
    if scores:
        content["scores"] = answer.probabilities
    if cold := cold_rows(query.rows):
        content["cold"] = cold
    return content
