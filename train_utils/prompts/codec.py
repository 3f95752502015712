"""Text to token ids and back, so that no text can forge a control token or an end of turn."""

import itertools
import os
import re
from collections.abc import Sequence

from train_utils.prompts.chat_template import ChatTemplate, tokenize
from train_utils.prompts.control_tokens import EOI, SOI, control_tokens

# Texts before which another is tokenized as it is in the middle of a text: the first that no token reaches over.
_ANCHORS = ("\u241f", "\n", ".", "a")


class Codec:
    """Encodes and decodes plain text beside the markup of a chat template.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template and both control tokens.

    Attributes:
        template: the tokenizer's chat template.
        end_of_turn: id of the token that ends an answer.
        soi, eoi: ids of the control tokens around an item.
        reserved_texts: texts that no title may hold: special tokens and the template's markers.

    Raises:
        ValueError: no chat template, control tokens missing, or a template whose rendering of a conversation is not an
            extension of its prompt.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.template = ChatTemplate(tokenizer)
        self.end_of_turn, self.system_allowed = self.template.end_of_turn, self.template.system_allowed
        self.soi, self.eoi = map(self._control_id, control_tokens(tokenizer))
        self._markers: list[str] = []
        # A title is spelled as a word behind a space is: whole words are what the model knows, and the first token of
        # a bare title is often a single letter. SentencePiece writes that space itself, before every text.
        self._space = "" if self.decode([*self.encode("a"), *self.encode("a")]) == "a a" else " "
        self._markers = self._markers_of_template()
        self._before = self.encode("a")  # stands for what precedes a text that is decoded in the middle of an answer
        self._continuations = self._unlike_continuations()
        special = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
        self.reserved_texts = sorted({SOI, EOI, *tokenizer.all_special_tokens, *self._markers, *special})

    def _control_id(self, token: str) -> int:
        token_id = self.tokenizer.convert_tokens_to_ids(token)
        if token_id is None or token_id == self.tokenizer.unk_token_id or token not in self.tokenizer.get_vocab():
            raise ValueError(f"the tokenizer has no control token {token}; train or merge the model with this project")
        return token_id

    def spell(self, title: str) -> str:
        """Return the title as it is tokenized: behind a space, where the tokenizer does not write one itself."""
        return self._space + title

    def encode(self, text: str, behind: bool = False) -> list[int]:
        """Token ids of plain text; special tokens and the template's markers in it stay ordinary characters.

        behind: other content of the message stands before it, so that SentencePiece writes no space of its own.
        """
        pieces = [text]
        if self._markers:
            # A tokenizer splits only special tokens; other markers are cut behind their first character.
            found = re.finditer("|".join(map(re.escape, self._markers)), text)
            cuts = [0, *(marker.start() + 1 for marker in found), len(text)]
            pieces = [text[start:end] for start, end in itertools.pairwise(cuts)]
        return [
            token
            for i, piece in enumerate(pieces)
            for token in (self._encode_behind(piece) if behind or i else self._tokenized(piece))
        ]

    def _encode_behind(self, text: str) -> list[int]:
        if not text or self._space:
            return self._tokenized(text)
        for anchor in _ANCHORS:
            head, ids = self._tokenized(anchor), self._tokenized(anchor + text)
            if ids[: len(head)] == head:
                return ids[len(head) :]
        return self._tokenized(text)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokenized(list(texts)) if len(texts) else []

    def _tokenized(self, text: str | list[str]) -> list:
        return tokenize(self.tokenizer, text, split_special_tokens=True)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids` without special tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def decode_part(self, ids: Sequence[int], first: bool) -> str:
        """Text of a run of an answer's tokens between two items, as it reads there: SentencePiece's space before a
        word counts, but at the beginning of the answer."""
        if first:
            return self.decode(ids)
        return self.decode([*self._before, *ids]).removeprefix(self.decode(self._before))

    def settled_part(self, ids: Sequence[int], first: bool) -> str:
        """The beginning of `decode_part` that no further token can change: half of a character is left out."""
        readings = [self.decode_part([*ids, *more], first) for more in ((), *self._continuations)]
        return os.path.commonprefix(readings).rstrip("\ufffd")

    def _unlike_continuations(self) -> list[list[int]]:
        """Tokens that show what is settled: a letter, and a byte of no character, which spoils the bytes before it."""
        vocabulary = self.tokenizer.get_vocab()
        spoiling = [[vocabulary[token]] for token in ("<0xFF>",) if token in vocabulary]
        return [self._before, *spoiling]

    def _markers_of_template(self) -> list[str]:
        """Added tokens that the template writes although they are not special: a text must not be read as them."""
        roles = ["system"] * self.system_allowed + ["user", "assistant"]
        written = set(self.template.tokenized("".join(self.template.markup(roles, prompt=False))))
        added = self.tokenizer.added_tokens_decoder.items()
        markers = {token.content for i, token in added if i in written and not token.special and len(token.content) > 1}
        return sorted(markers, key=len, reverse=True)
