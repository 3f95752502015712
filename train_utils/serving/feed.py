"""Send a product feed to a running server: `python -m train_utils.serving.feed FILE --url URL --domain D --key KEY`.

The items of the feed become the whole catalog of the domain: items that it lacks are retired.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import httpx

from train_utils.characters import shown
from train_utils.command import LineParser, run_cli
from train_utils.feed_files import read_feed

KEY_VARIABLE = "RECLM_KEY"
_SECONDS = 600.0  # for an answer; tokenizing 100,000 titles takes some seconds
_READ = 64 << 10  # bytes of an answer that are read


def send_feed(path: str | Path, url: str, domain: str, key: str, replace: bool = True) -> dict[str, object]:
    """Send a feed, and return the server's answer.

    Args:
        path: the file; see `read_feed`.
        url: address of the server.
        domain: name of the catalog.
        key: a key that may change catalogs.
        replace: whether items that the feed lacks are retired.

    Raises:
        ValueError: the feed is broken, the server cannot be reached, or it refuses; in one line.
        OSError: the file cannot be read.
    """
    body = json.dumps({"items": read_feed(path), "replace": replace}, ensure_ascii=False).encode("utf-8", "replace")
    address = f"{url.rstrip('/')}/v1/catalogues/{quote(domain, safe='')}/items"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"} if key else {}
    try:
        with (
            httpx.Client(timeout=_SECONDS) as client,
            client.stream("PUT", address, content=body, headers=headers) as sent,
        ):
            data = b""
            for piece in sent.iter_bytes(_READ):
                data = (data + piece)[:_READ]
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
        raise ValueError(f"{url} did not take the feed ({shown(str(error))}); is the server running?") from None
    try:
        answer = json.loads(data)
        assert isinstance(answer, dict)
    except (ValueError, RecursionError, AssertionError):
        raise ValueError(f"{url} answers {shown(data)}, which is no answer of this server; check --url") from None
    if sent.status_code != 200:
        problem = answer.get("error") or {"message": answer.get("detail")}
        raise ValueError(f"{url} refuses the feed: {sent.status_code} {_message(problem)}")
    return answer


def _message(problem: object) -> str:
    """Return the message of a server's error, in one line."""
    text = problem.get("message") if isinstance(problem, dict) else problem
    return " ".join(str(text).split())[:500]


def main(argv: Sequence[str] | None = None) -> None:
    parser = LineParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "feed", metavar="FILE", help="CSV, TSV, JSON, JSON lines or XML (RSS, Atom), also packed by gzip"
    )
    parser.add_argument("--url", default="http://127.0.0.1:7861", help="address of the server (default: %(default)s)")
    parser.add_argument("--domain", required=True, help="name of the catalog")
    parser.add_argument(
        "--key",
        default=os.environ.get(KEY_VARIABLE, ""),
        help=f"a key of the server's --api_keys with the right catalogue (default: the environment's {KEY_VARIABLE})",
    )
    parser.add_argument("--keep", action="store_true", help="keep items that the feed lacks, instead of retiring them")
    options = parser.parse_args(argv)
    answer = send_feed(options.feed, options.url, options.domain, options.key, not options.keep)
    print(
        f"{answer.get('domain')} is at version {answer.get('catalogue_version')}: added {answer.get('added')}, changed "
        f"{answer.get('changed')}, retired {answer.get('retired')}; {answer.get('items')} items in all"
    )
    if note := answer.get("note"):
        print(f"note: {note}")


if __name__ == "__main__":
    run_cli(main)
