"""Shortlists as requests to another server: `python -m train_utils.engines.export --model_name M --data_path D ...`.

Writes the grammar of a user's shortlist, or the whole request to the server's completions API, and reads the items out
of an answer that was fetched by other means.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence

from train_utils.command import run_cli
from train_utils.decoding.completions_endpoint import CompletionsEndpoint, request_body, written_of
from train_utils.decoding.request import Request
from train_utils.decoding.shortlist_ranker import ShortlistRanker, read_list, shortlist_of
from train_utils.files.json_files import json_value, read_json, read_json_lines
from train_utils.options import parse
from train_utils.param.export import ExportOptions
from train_utils.recommender import Recommender


def requests_of(options: ExportOptions, recommender: Recommender) -> list[Request]:
    """Return the list requests that the options name, one per user.

    Raises:
        ValueError: the histories or the rules are no JSON of the right form, or name an unknown item.
    """
    if options.users:
        entries = [(f"line {number} of {options.users}", entry) for number, entry in read_json_lines(options.users)]
    else:
        history = _parsed("history", options.history)
        entries = [("`history`", {"history": history, "rules": _parsed("rules", options.rules)})]
    histories, rules = [], []
    for where, entry in entries:
        if not isinstance(entry, Mapping) or not {"history"} <= entry.keys() <= {"history", "rules"}:
            raise ValueError(f'{where} is {entry!r}, wanted {{"history": [...]}}, with "rules" or without')
        if not isinstance(entry["history"], list):
            raise ValueError(f"{where} is {entry['history']!r}, wanted a list of item ids or titles")
        histories.append(entry["history"])
        rules.append(entry.get("rules"))
    return recommender.list_requests(histories, options.topk, rules, max_history=options.max_history)


def exported(options: ExportOptions, recommender: Recommender) -> Iterator[str]:
    """Yield the text of each request: its grammar, or one line of JSON.

    Raises:
        ValueError: see `requests_of`; or no item is admissible.
    """
    for request in requests_of(options, recommender):
        shortlist = shortlist_of(recommender.renderer, request, options.candidates)
        if shortlist is None:
            raise ValueError("no item is admissible; loosen the rules")
        if options.form == "grammar":
            yield shortlist.grammar()
        else:
            body = request_body(
                options.server,
                options.served_model,
                request.prompt,
                shortlist.grammar(),
                shortlist.most_tokens + 1,
            )
            yield json.dumps(body) + "\n"


def answered(options: ExportOptions, recommender: Recommender) -> Iterator[str]:
    """Yield the items of a server's answer, one line each: rank, id and title.

    Raises:
        ValueError: the answer is no answer of a completions API, or no list of the candidates.
    """
    (request,) = requests_of(options, recommender)
    shortlist = shortlist_of(recommender.renderer, request, options.candidates)
    answer = json_value(sys.stdin.read()) if options.answer == "-" else read_json(options.answer)
    if shortlist is None:
        raise ValueError("no item is admissible, so no answer can be right; loosen the rules")
    assert recommender.catalog is not None  # the command loads one
    for rank, item in enumerate(read_list(shortlist, written_of(answer), recommender.renderer), 1):
        entry = recommender.catalog.items[item]
        yield f"{rank} {entry.id} {entry.title}\n"


def _parsed(name: str, text: str) -> object:
    try:
        return json_value(text)
    except ValueError as error:
        raise ValueError(f"`{name}` is {text!r}, wanted JSON: {error}") from None


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(ExportOptions, argv)
    if options.answer and options.users:
        raise ValueError("`answer` is one user's; give `history` instead of `users`")
    recommender = Recommender.of_server(
        ShortlistRanker(CompletionsEndpoint("http://localhost"), options.candidates),  # which is never asked
        options.model_name,
        options.data_path,
        options.teacher or None,
        trust_remote_code=options.trust_remote_code,
    )
    # Complete before it is printed: an error leaves no part of it.
    sys.stdout.write("".join((answered if options.answer else exported)(options, recommender)))


if __name__ == "__main__":
    run_cli(main)
