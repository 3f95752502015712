"""Plain text to token ids and back; no text can forge a control token or an end of turn."""

import itertools
import os
import re
from collections.abc import Sequence

from train_utils.prompts.chat_template import ChatTemplate, tokenize
from train_utils.prompts.control_tokens import EOI, SOI, control_tokens

# Prefixes after which a text is encoded as in mid-text; the first that no token merges with the text is used.
_ANCHORS = ("\u241f", "\n", ".", "a")
_INCOMPLETE_BYTES = 3  # bytes of a character of UTF-8 that is not whole yet, at most


class Codec:
    """Encoder and decoder of plain text, next to the markup of a chat template.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template and both control tokens.

    Attributes:
        template: the tokenizer's chat template.
        end_of_turn: id of the token that ends an answer.
        soi: id of the control token before an item.
        eoi: id of the control token after an item.
        reserved_texts: texts that no title may contain: special tokens and the template's markers.

    Raises:
        ValueError: no chat template, missing control tokens, or a template whose rendering of a conversation does not
            extend the rendering of its prompt.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.template = ChatTemplate(tokenizer)
        self.end_of_turn, self.system_allowed = self.template.end_of_turn, self.template.system_allowed
        self.soi, self.eoi = map(self._control_id, control_tokens(tokenizer))
        self._markers: list[str] = []
        # A title is spelled like a word after a space: the model learned whole words, and the first token of a bare
        # title is often a single letter. SentencePiece writes that space itself, before every text.
        self._space = "" if self.decode([*self.encode("a"), *self.encode("a")]) == "a a" else " "
        self._markers = self._markers_of_template()
        self._before = self.encode("a")  # precedes a text that is decoded in mid-answer
        # In a vocabulary of bytes, one that belongs to no character: it makes all bytes before it invalid.
        vocabulary = tokenizer.get_vocab()
        self._spoiling = [[vocabulary[token]] for token in ("<0xFF>",) if token in vocabulary]
        special = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
        self.reserved_texts = sorted({SOI, EOI, *tokenizer.all_special_tokens, *self._markers, *special})

    def _control_id(self, token: str) -> int:
        token_id = self.tokenizer.convert_tokens_to_ids(token)
        if token_id is None or token_id == self.tokenizer.unk_token_id or token not in self.tokenizer.get_vocab():
            raise ValueError(f"the tokenizer has no control token {token}; train or merge the model with this project")
        return token_id

    def spell(self, title: str) -> str:
        """Return the title as it is tokenized: after a space, unless the tokenizer writes the space itself."""
        return self._space + title

    def encode(self, text: str, continues: bool = False) -> list[int]:
        """Return the token ids of plain text; special tokens and the template's markers in it stay ordinary characters.

        Args:
            text: the text.
            continues: whether other content of the message precedes the text, so that SentencePiece adds no space.
        """
        pieces = [text]
        if self._markers:
            # A tokenizer splits only special tokens; other markers are cut after their first character.
            matches = re.finditer("|".join(map(re.escape, self._markers)), text)
            cuts = [0, *(marker.start() + 1 for marker in matches), len(text)]
            pieces = [text[start:end] for start, end in itertools.pairwise(cuts)]
        return [
            token
            for i, piece in enumerate(pieces)
            for token in (self._encode_continued(piece) if continues or i else self._tokenized(piece))
        ]

    def _encode_continued(self, text: str) -> list[int]:
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
        """Return the text of `ids` without special tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def decode_part(self, ids: Sequence[int], first: bool) -> str:
        """Return the text of an answer's tokens between two items, as it reads in the answer.

        SentencePiece's space before a word is kept, except at the start of the answer.

        Args:
            ids: the tokens.
            first: whether they start the answer.
        """
        if first:
            return self.decode(ids)
        return self.decode([*self._before, *ids]).removeprefix(self.decode(self._before))

    def settled_part(self, ids: Sequence[int], first: bool) -> str:
        """Return the prefix of `decode_part` that no further token can change, without incomplete characters.

        Args:
            ids: the tokens.
            first: whether they start the answer.
        """
        # A letter and a spoiling byte: what the readings have in common no other continuation changes either.
        readings = [self.decode_part([*ids, *more], first) for more in ((), self._before, *self._spoiling)]
        settled = os.path.commonprefix(readings)
        begun = len(settled) - len(settled.rstrip("\ufffd"))
        if not self._spoiling:  # of bytes that are no character, only the last ones may still become one
            begun = min(begun, _INCOMPLETE_BYTES)
        return settled[: len(settled) - begun]

    def _markers_of_template(self) -> list[str]:
        """Return the non-special added tokens that the template writes; a text must not be encoded to them."""
        roles = ["system"] * self.system_allowed + ["user", "assistant"]
        written = set(self.template.tokenized("".join(self.template.markup(roles, prompt=False))))
        added = self.tokenizer.added_tokens_decoder.items()
        markers = {token.content for i, token in added if i in written and not token.special and len(token.content) > 1}
        return sorted(markers, key=len, reverse=True)
