"""Training with item codes: the loss equals an obvious one, dropout follows its seed, the average is saved."""

from dataclasses import replace

import pytest
import torch
from accelerate import DistributedType
from tiny import coded_chat
from tiny_samples import CONFIG, TITLES, drawn

from train_utils.models.adapters import add_lora
from train_utils.samples.batch import collate
from train_utils.samples.encode import ScopeLabels, encode_code_sample, encode_sample
from train_utils.samples.tasks import parse_tasks
from train_utils.training.average import AverageWeights, averaged
from train_utils.training.loop import LoopConfig, check_sharding, parameter_groups, train
from train_utils.training.loss import own_label_loss
from train_utils.training.method import code_loss


def model_and_batches(form="token", seed=0):
    model, chat = coded_chat(TITLES, form, seed)
    wrapped = add_lora(model, [chat.soi, chat.eoi], 4, 4, 0.0, 1, False, chat.item_tokens)
    talks = drawn(chat).talks(range(6))
    encode = encode_sample if form == "rq_token_seq" else encode_code_sample
    samples = [encode(chat, ScopeLabels(chat.trie), talk, CONFIG) for talk in talks]
    return wrapped, chat, talks, samples


@pytest.mark.parametrize("form", ["token", "token_title"])
def test_the_loss_is_the_mean_of_plain_cross_entropies(form):
    model, chat, talks, samples = model_and_batches(form)
    model.eval()
    codes = [ids[0] for ids in chat.code_ids]
    expected = []
    for talk, sample in zip(talks, samples, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([sample.ids])).logits[0].float()
        text, items, weights = [], [], []
        free = logits.clone()
        free[:, chat.item_tokens] = -torch.inf
        for position, _ in sample.text:
            text.append(-free[position - 1].log_softmax(0)[sample.ids[position]])
        shown = {item for start, item in talk.rendered.items if not talk.rendered.labeled[start]}
        answered = set()
        for (start, item), number in zip(talk.rendered.items, range(len(talk.rendered.items)), strict=True):
            listed = talk.rendered.labeled[start]
            before = (
                {i for s, i in talk.rendered.items[:number] if not talk.rendered.labeled[s]}
                if not listed
                else shown | answered
            )
            answered |= {item} if listed else set()
            weight = 1.0 if listed else CONFIG.history_weight * (0 < number < talk.n_history)
            if not weight:
                continue
            scores = logits[start, codes].clone()
            scores[list(before - {item})] = -torch.inf
            share = torch.zeros(len(codes))
            ranked = talk.ranked if listed else talk.beginnings.get(number)
            soft = (
                {i: s for i, s in zip(ranked.items, ranked.scores, strict=True) if i not in before - {item}}
                if ranked
                else {}
            )
            total = sum(soft.values())
            share[item] = 1 - CONFIG.soft_labels if soft else 1.0
            for i, s in soft.items():
                share[i] += CONFIG.soft_labels * s / total
            admitted = share > 0
            items.append(weight * -(share[admitted] * scores.log_softmax(0)[admitted]).sum())
            weights.append(weight)
        expected.append(torch.stack(text).mean() + torch.stack(items).sum() / sum(weights))
    with torch.no_grad():
        value, _ = code_loss(chat, 0.2)(model, collate(samples, 1, apart=True))
    assert value == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)


def test_the_loss_of_several_tokens_an_item_is_over_the_branches_of_the_open_codes():
    model, chat, talks, samples = model_and_batches("rq_token_seq")
    model.eval()
    expected = []
    for talk, sample in zip(talks, samples, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([sample.ids])).logits[0].float()
        free = logits.clone()
        free[:, chat.item_tokens] = -torch.inf
        text = [-free[position - 1].log_softmax(0)[sample.ids[position]] for position, _ in sample.text]
        assert len(text) == sum(talk.rendered.labeled) - sum(
            len(chat.code_ids[item]) + 1 for start, item in talk.rendered.items if talk.rendered.labeled[start]
        )
        items, total = torch.zeros(()), 0.0
        shown, answered = [], []
        for number, (start, item) in enumerate(talk.rendered.items):
            listed = talk.rendered.labeled[start]
            before = {*shown, *answered} - {item}
            (answered if listed else shown).append(item)
            weight = 1.0 if listed else CONFIG.history_weight * (0 < number < talk.n_history)
            ranked = talk.ranked if listed else talk.beginnings.get(number)
            mass = {i: s for i, s in zip(ranked.items, ranked.scores, strict=True)} if ranked else {}
            code = chat.code_ids[item]
            total += weight * listed * (len(code) + 1)  # forced positions and the end count in the mean
            for n, token in enumerate(code):
                below: dict[int, float] = {}
                for i, ids in enumerate(chat.code_ids):
                    if i not in before and ids[:n] == code[:n]:
                        best = mass.get(i, 0.0) if i not in {*shown, *answered} - {item} else 0.0
                        below[ids[n]] = max(below.get(ids[n], 0.0), best)
                if len(below) == 1 or not weight:
                    continue
                total += weight * (not listed)
                share = torch.tensor([float(t == token) for t in below])
                if sum(below.values()) > 1e-9:
                    soft = torch.tensor(list(below.values())) / sum(below.values())
                    share = (1 - CONFIG.soft_labels) * share + CONFIG.soft_labels * soft
                scores = logits[start + n, list(below)].log_softmax(0)
                items = items - weight * (share * scores).sum()
            if not listed and weight:  # as are those of the history
                total += weight * sum(
                    len({ids[n] for i, ids in enumerate(chat.code_ids) if i not in before and ids[:n] == code[:n]}) == 1
                    for n in range(len(code))
                )
        expected.append(torch.stack(text).mean() + items / total)
    with torch.no_grad():
        value, _ = code_loss(chat, 0.2)(model, collate(samples, 1, apart=True))
    assert value == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_own_labels_are_what_the_model_predicts_after_the_last_history_item(share):
    model, chat, talks, samples = model_and_batches()
    model.eval()
    codes, expected = [ids[0] for ids in chat.code_ids], []
    anchored = 0
    for talk, sample in zip(talks, samples, strict=True):
        with torch.no_grad():
            scores = model(torch.tensor([sample.ids])).logits[0].float()[:, codes]
        losses, weights = [], []
        last = max(
            (at for at, token in enumerate(sample.ids) if token in codes and not talk.rendered.labeled[at]), default=-1
        )
        for (position, weight, tokens, shares), closed in zip(sample.choices, sample.closed, strict=True):
            open_items = [item for item in range(len(codes)) if item not in closed]
            log_p = scores[position - 1, open_items].log_softmax(0)
            label = torch.zeros(len(codes))
            label[tokens.tolist()] = torch.from_numpy(shares)
            if talk.rendered.labeled[position] and talk.n_history:
                own = torch.zeros(len(codes))
                own[open_items] = scores[last, open_items].softmax(0)
                label = share * own + (1 - share) * label
                anchored += 1
            losses.append(-weight * (label[open_items] * log_p).sum())
            weights.append(weight)
        expected.append(torch.stack(losses).sum() / sum(weights))
    batch = collate(samples, 1, apart=True)
    assert anchored == len(batch.anchor) > 2
    with torch.no_grad():
        value, _ = code_loss(chat, 0.2, share)(model, replace(batch, text_weight=torch.zeros_like(batch.text_weight)))
    assert value == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)


def test_own_labels_get_no_gradient():
    scores, labels = (torch.randn(3, 5, requires_grad=True) for _ in range(2))
    own_label_loss(scores.masked_fill(torch.eye(3, 5).bool(), -torch.inf), labels).sum().backward()
    assert labels.grad is None and scores.grad.isfinite().all() and not scores.grad[torch.eye(3, 5).bool()].any()


def test_a_request_with_a_condition_has_no_own_labels():
    model, chat = coded_chat(TITLES)
    config = replace(CONFIG, tasks=parse_tasks("SFTCategory,SFTSeqRanking"))
    samples = [encode_code_sample(chat, None, talk, config) for talk in drawn(chat, config).talks(range(9))]
    assert all(set(sample.anchors) == {-1} for sample in samples)


@pytest.mark.parametrize("form", ["token", "rq_token_seq"])
def test_dropout_depends_on_the_seed_of_the_batch_alone(form):
    model, chat, _, samples = model_and_batches(form)
    model.train()
    loss = code_loss(chat, 0.5)

    def value(seed):
        torch.rand(3)  # the global generator does not matter
        return loss(model, collate(samples, 1, apart=True, seed=seed))[0].item()

    assert value(1) == value(1) != value(2)
    model.eval()
    assert value(1) == value(2)


def test_item_rows_learn_at_their_own_rate():
    model, *_ = model_and_batches()
    groups = parameter_groups(model, LoopConfig(1, 1e-3, 0.0, 0.0, 1.0, 1.0, 60, item_lr=5e-3))
    assert [(len(group["params"]) > 0, group["scale"]) for group in groups] == [(True, 1.0), (True, 5.0)]
    assert len(groups[1]["params"]) == 2, "the rows of the input and those of the head"
    (only,) = parameter_groups(model, LoopConfig(1, 1e-3, 0.0, 0.0, 1.0, 1.0, 60))
    assert len(only["params"]) == len(groups[0]["params"]) + 2


def test_second_matrices_of_lora_learn_at_their_own_rate():
    model, *_ = model_and_batches()
    config = LoopConfig(1, 1e-3, 0.0, 0.0, 1.0, 1.0, 60, item_lr=3e-3, loraplus_lr_ratio=4.0)
    names = {id(p): name for name, p in model.named_parameters()}
    kinds = {"lora_A": 1.0, "lora_B": 4.0, "trainable_tokens_delta": 3.0}
    seen = set()
    for group in parameter_groups(model, config):
        for name in (names[id(p)] for p in group["params"]):
            (kind,) = (kind for kind in kinds if f".{kind}." in name)
            assert group["scale"] == kinds[kind]
            seen.add(name)
    assert seen == {name for name, p in model.named_parameters() if p.requires_grad}


def test_the_average_equals_its_recurrence():
    layer = torch.nn.Linear(2, 2)
    average = AverageWeights(layer, 0.9)
    expected = layer.weight.detach().clone()
    for step in range(200):
        with torch.no_grad():
            layer.weight += 0.1
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * layer.weight.detach()
    last = layer.weight.detach().clone()
    with averaged(average):
        assert torch.allclose(layer.weight, expected)
    assert torch.equal(layer.weight, last)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_run_saves_the_average_also_after_an_interruption(tmp_path, interrupted):
    def run(steps_before=0):
        model, chat, _, samples = model_and_batches()
        config = LoopConfig(6, 1e-2, 0.0, 0.0, 1.0, 1.0, 0.0, item_lr=2e-2, average=0.9, beta2=0.98, eps=1e-8)

        def batches(step):
            if step == 3 and steps_before:
                raise KeyboardInterrupt
            return [collate(samples[at : at + 3], 1, True, seed=step + at) for at in (0, 3)]

        return train(model, code_loss(chat, 0.2), batches, config, tmp_path / f"run{interrupted}")

    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            run(3)
    weights = run()
    model, chat, _, samples = model_and_batches()
    config = LoopConfig(6, 1e-2, 0.0, 0.0, 1.0, 1.0, 1e9, item_lr=2e-2, average=0.9, beta2=0.98, eps=1e-8)
    whole = train(
        model,
        code_loss(chat, 0.2),
        lambda step: [collate(samples[at : at + 3], 1, True, seed=step + at) for at in (0, 3)],
        config,
        tmp_path / "whole",
    )
    last = train(
        model_and_batches()[0],
        code_loss(chat, 0.2),
        lambda step: [collate(samples[at : at + 3], 1, True, seed=step + at) for at in (0, 3)],
        replace(config, average=0.0),
        tmp_path / "last",
    )
    assert all(torch.equal(weights[name], whole[name]) for name in whole)
    assert any(not torch.equal(last[name], whole[name]) for name in whole)


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_an_average_or_coupled_rows_of_sharded_weights_are_refused(kind):
    with pytest.raises(ValueError, match="`average` is 0.9, which needs whole weights"):
        check_sharding(0.9, False, kind)
    with pytest.raises(ValueError, match="`coupled_rows` needs whole weights"):
        check_sharding(0.0, True, kind)
    check_sharding(0.0, False, kind)
    check_sharding(0.9, True, DistributedType.MULTI_GPU)
