"""The oracle of answers in which items are chosen as a whole: one token at a time, no cache, all items scored."""

import torch
from tiny import closed_by_caps

from train_utils.constraint.matcher import Matcher
from train_utils.prompts.messages import separator


@torch.inference_mode()
def write_slowly(model, chat, request, score_items):
    """(tokens, items, their scores) of an answer.

    `score_items(prefix, rules, listed)` returns (score, item) of each admissible item, best first, for one that opens
    after `prefix`, which ends in `<SOI>`. Until the next word of text, further items are the
    next ones of that ranking.
    """
    ids, listed, scores, ranking, between = [], [], [], [], []
    enough = request.max_items or 99
    forced = [*chat.encode(separator(1, request.idx)), chat.soi] if request.force_items else []
    while len(ids) < request.max_new_tokens and len(listed) < enough:
        prefix = [*request.prompt, *ids]
        if forced:
            token = forced.pop(0)
        else:
            logits = model(input_ids=torch.tensor([prefix])).logits[0, -1].clone()
            logits[list(Matcher(request.rules, listed).barred())] = -torch.inf
            token = int(logits.argmax())
            if token == chat.end_of_turn:
                break
        ids.append(token)
        if token != chat.soi:
            between.append(token)
            continue
        ranking = [pair for pair in ranking if pair[1] not in closed_by_caps(request.rules, listed)]
        if not ranking or any(character.isalpha() for character in chat.decode(between)):
            ranking = score_items([*prefix, chat.soi], request.rules, listed)[: request.best_titles or 1]
        score, item = ranking.pop(0)
        listed.append(item)
        scores.append(score)
        ids += [*chat.title_ids[item], chat.eoi]
        between = []
        if request.force_items and not Matcher(request.rules, listed).exhausted and len(listed) < enough:
            forced = [*chat.encode(separator(len(listed) + 1, request.idx)), chat.soi]
        elif request.force_items:
            break
    return ids[: request.max_new_tokens], listed, scores
