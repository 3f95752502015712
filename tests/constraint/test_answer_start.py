"""The beginning of an answer is found in token ids, however many tokens were added for items."""

from types import SimpleNamespace

from tiny import tiny_chat

from train_utils.constraint.answer_start import Openers
from train_utils.prompts.messages import message


def test_more_added_tokens_than_private_characters_leave_the_openers_as_they_are():
    chat = tiny_chat(["red", "blue"])[1]
    tokenizer, prompt = chat.tokenizer, chat.render([message("user", "Hi")], prompt=True).ids
    question = chat.render([message("user", "Hi")], prompt=False).ids
    opener = prompt[len(question) :]
    codes = range(len(tokenizer), len(tokenizer) + 200_000)
    many = SimpleNamespace(
        added_tokens_decoder={**tokenizer.added_tokens_decoder, **dict.fromkeys(codes)},
        all_special_ids=tokenizer.all_special_ids,
        decode=tokenizer.decode,
    )
    later, earlier = Openers(tokenizer, [opener]).ends([*prompt, *prompt])
    ends = list(Openers(many, [opener]).ends([*prompt, codes[0], codes[-1], *prompt, codes[5]]))
    assert opener and ends == [later + 2, earlier]
