"""The JSON of the teacher server: requests checked by shape, converted to rows; limits; answers."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from teacher_model import Answer, Query
from teacher_ranking import Catalogue, RequestError, Row, check_category, to_ints

MAX_ROWS = 4096
MAX_LIST = 10_000


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


RawId = Annotated[
    str, BeforeValidator(_as_text, json_schema_input_type=str | int), StringConstraints(max_length=256)
]
IdList = Annotated[list[RawId], Field(max_length=MAX_LIST)]
Category = Annotated[str, StringConstraints(max_length=256)]


class RankingRequest(BaseModel):
    """One history a row. `users` are labels; `item_lengths`, when given, must agree with `item_lists`."""

    model_config = ConfigDict(extra="forbid")

    users: Annotated[list[RawId], Field(min_length=1, max_length=MAX_ROWS)]
    item_lists: Annotated[list[IdList], Field(min_length=1, max_length=MAX_ROWS)]
    item_lengths: list[int] | None = None
    candidate_item_lists: list[IdList] | None = None
    immediately: bool = False

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
    """The k best items of each row outside its history, within candidates and category."""

    k: Annotated[int, Field(ge=1, strict=True)]
    target_category: Category | list[Category | None] | None = None
    return_scores: bool = False

    @model_validator(mode="after")
    def categories_agree(self) -> "InferenceRequest":
        if isinstance(self.target_category, list) and len(self.target_category) != len(self.item_lists):
            given, rows = len(self.target_category), len(self.item_lists)
            raise ValueError(f"target_category has {given} entries, item_lists has {rows}")
        return self


def to_query(request: RankingRequest, catalogue: Catalogue) -> Query:
    """Rows in item ints; RequestError says what the catalogue lacks."""
    histories = to_ints(catalogue, request.item_lists, "item_lists")
    rows = len(histories)
    candidates: list[tuple[int, ...]] | list[None] = [None] * rows
    if request.candidate_item_lists is not None:
        candidates = to_ints(catalogue, request.candidate_item_lists, "candidate_item_lists")
    k, category = None, None
    if isinstance(request, InferenceRequest):
        k, category = request.k, request.target_category
        if k > catalogue.n_items - 1:
            raise RequestError(
                f"k must lie in 1..{catalogue.n_items - 1}, the size of the catalogue, got {k}"
            )
    elif request.candidate_item_lists is None:
        raise RequestError("ranking needs candidate_item_lists")
    categories = category if isinstance(category, list) else [category] * rows
    for target in set(categories):
        check_category(catalogue, target)
    return Query(tuple(map(Row, histories, candidates, categories)), k)


def split_query(query: Query, size: int) -> list[tuple[Query, int]]:
    """Pieces of at most `size` rows with their sizes, so that one big request does not hold the worker."""
    starts = range(0, len(query.rows), size)
    pieces = [Query(query.rows[start : start + size], query.k) for start in starts]
    return [(piece, len(piece.rows)) for piece in pieces]


def join_answers(answers: list[Answer]) -> Answer:
    """The pieces' answers as one."""
    return Answer(
        [row for answer in answers for row in answer.items],
        [row for answer in answers for row in answer.probabilities],
        [row for answer in answers for row in answer.ranks],
    )
