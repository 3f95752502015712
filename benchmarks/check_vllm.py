"""Check a vLLM server with the plugin against our engine: equal tokens in float32, no rule broken, 400 if malformed.

    scripts/vllm_check.sh NAME,NAME MODEL

starts the server, with and without jump forward, and runs this.
"""

import json
from dataclasses import dataclass

import httpx
from machine import machine_name
from served_requests import drawn_requests, identical, mean_tokens, own_answers, served_answers, violations
from transformers.utils import logging

from train_utils.command import run_cli
from train_utils.engines.served_recommender import ServedRecommender
from train_utils.options import option, parse
from train_utils.recommender import Recommender


@dataclass(frozen=True, kw_only=True)
class Options:
    """Check a vLLM server with the plugin against our engine."""

    url: str = option(help="address of the server, which decodes in float32")
    model: str = option(help="merged folder that it serves")
    data: str = option(help="its dataset folders, separated by commas")
    requests: int = option(64, "requests, sent at once", least=1)
    topk: int = option(5, "items of a list", least=1)
    seed: int = option(0, "seed of the requests")


def refused(url: str, domain: str) -> dict[str, int]:
    """Return the status of requests that a server must refuse, by what is wrong with them."""

    def status(grammar: object, **more: object) -> int:
        body = {"model": "reclm", "prompt": "a", "max_tokens": 4, **more}
        if grammar is not None:
            body["structured_outputs"] = {"grammar": grammar}
        return httpx.post(f"{url}/v1/completions", json=body, timeout=300).status_code

    good = "reclm:" + json.dumps({"domain": domain})
    return {
        "unknown domain": status('reclm:{"domain": "no such catalog"}'),
        "no JSON": status("reclm:{"),
        "unknown category": status("reclm:" + json.dumps({"domain": domain, "rules": {"categories": ["no such"]}})),
        "rules admit nothing": status("reclm:" + json.dumps({"domain": domain, "rules": {"allow": []}})),
        "ignore_eos": status(good, ignore_eos=True),
        "min_tokens": status(good, min_tokens=3),
        "bad_words": status(good, bad_words=["a"]),
        "stop": status(good, stop=["a"]),
        "no grammar": status(None),
    }


def run(options: Options) -> dict:
    logging.disable_progress_bar()
    folders = options.data.split(",")
    served = ServedRecommender.at(options.url, options.model)
    remote = [served.with_catalog(folder) for folder in folders]
    per_domain = -(-options.requests // len(folders))
    asked = [drawn_requests(domain, per_domain, options.topk, options.seed + n) for n, domain in enumerate(remote)]
    theirs = served_answers(remote, [one for part in asked for one in part])
    base = Recommender.load(options.model, dtype="float32")
    result = {"machine": machine_name(), "requests": len(theirs), "identical": 0, "violations": 0}
    for n, (folder, part) in enumerate(zip(folders, asked, strict=True)):
        own = base.with_catalog(folder)
        answers, ours = theirs[n * per_domain : (n + 1) * per_domain], own_answers(own, part)
        same, wrong = identical(ours, answers), violations(own, part, answers)
        items, tokens = sum(len(answer.items) for answer in answers), mean_tokens(answers)
        print(
            f"{own.catalog.name}: {same} of {len(part)} identical, {items} items, {tokens:.1f} tokens an answer, "
            f"{wrong} violations"
        )
        for mine, other in zip(ours, answers, strict=True):
            if mine.ids != other.ids:
                print(f"  ours:   {mine.finish} {mine.ids[:60]}")
                print(f"  theirs: {other.finish} {other.ids[:60]} {other.error or ''}")
        result["identical"] += same
        result["violations"] += wrong
    result["refused"] = refused(options.url, remote[0].catalog.name)
    return result


def main() -> int:
    result = run(parse(Options))
    bad = {what: status for what, status in result["refused"].items() if status != 400 and what != "no grammar"}
    for what, status in bad.items():
        print(f"not refused: {what} ({status})")
    print(json.dumps(result))
    return 1 if bad or result["violations"] or result["identical"] < result["requests"] else 0


if __name__ == "__main__":
    run_cli(main)
