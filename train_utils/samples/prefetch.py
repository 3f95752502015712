"""Prefetched micro-batches for the training loop, one window of steps ahead."""

import heapq
import math
import random
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from tqdm import tqdm

from train_utils.prompts.renderer import Chat
from train_utils.samples.batch import Batch, Sample, collate
from train_utils.samples.encode import ScopeLabels
from train_utils.samples.sources import Encode, Source

WINDOW_STEPS = 8


class SampleStream:
    """Function step -> micro-batches on `device`, built in a thread.

    Samples of a window are sorted by length before they are cut into batches, which keeps padding small. The teacher
    gets one query per window.

    Args:
        source: conversations by number.
        chat: renderer and catalog titles.
        encode: conversation -> sample; see `train_utils.samples.encode`.
        batch_size: samples per micro-batch.
        accumulation: micro-batches per step.
        pad_id: token id of the padding.
        device: device of the batches.
        epochs: number of epochs. No window is built after the last step, and the constructor verifies that every
            sample fits. None for an endless stream.
        apart: see `train_utils.samples.batch.collate`.
        packed: cut each step into packed micro-batches of about equal numbers of tokens; otherwise every micro-batch
            has `batch_size` padded samples.

    Raises:
        ValueError: a sample of the `epochs` cannot fit `max_token_length`.
    """

    def __init__(
        self,
        source: Source,
        chat: Chat,
        encode: Encode,
        batch_size: int,
        accumulation: int,
        pad_id: int,
        device: torch.device,
        epochs: int | None = None,
        apart: bool = False,
        packed: bool = False,
    ):
        self.source, self.chat, self.encode, self.apart, self.packed = source, chat, encode, apart, packed
        self.batch_size, self.accumulation, self.pad_id, self.device = batch_size, accumulation, pad_id, device
        assert chat.trie is not None  # samples are of a catalog
        self.choices = ScopeLabels(chat.trie)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="samples")
        self._windows: dict[int, Future[list[list[Batch]]]] = {}
        self._n_windows = math.inf if epochs is None else math.ceil(self.steps(epochs) / WINDOW_STEPS)
        if epochs is not None:
            source.check(epochs)

    def close(self) -> None:
        """Stop building windows."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def steps(self, epochs: float) -> int:
        """Return the number of steps of so many epochs, at least 1."""
        whole = math.ceil(epochs)
        return math.ceil(self.source.samples(whole) * (epochs / whole) / (self.batch_size * self.accumulation))

    def __call__(self, step: int) -> list[Batch]:
        window, offset = divmod(step, WINDOW_STEPS)
        for needed in (window, window + 1):
            if needed not in self._windows and needed < self._n_windows:
                self._windows[needed] = self._pool.submit(self._make_window, needed)
        self._windows = {w: f for w, f in self._windows.items() if w >= window}
        return [batch.to(self.device) for batch in self._windows[window].result()[offset]]

    def ask_ahead(self) -> None:
        """Send all teacher queries of the `epochs`, one window at a time."""
        for window in tqdm(range(int(self._n_windows)), desc="teacher", unit="window", mininterval=5):
            self.source.ask_ahead(self._numbers(window))

    def samples(self, numbers: Sequence[int]) -> list[Sample]:
        return [self.encode(self.chat, self.choices, talk, self.source.config) for talk in self.source.talks(numbers)]

    def _numbers(self, window: int) -> range:
        """Return the sample numbers of a window."""
        size = WINDOW_STEPS * self.batch_size * self.accumulation
        return range(window * size, (window + 1) * size)

    def _seed(self, window: int, at: int) -> int:
        return random.Random(f"{self.source.config.seed}/loss/{window}/{at}").getrandbits(63)

    def _make_window(self, window: int) -> list[list[Batch]]:
        samples = self.samples(self._numbers(window))
        if self.packed:
            size = self.batch_size * self.accumulation
            return [self._packed_step(window, at, samples[at : at + size]) for at in range(0, len(samples), size)]
        samples = sorted(samples, key=lambda sample: len(sample.ids))
        starts = range(0, len(samples), self.batch_size)
        rng = random.Random(f"{self.source.config.seed}/window/{window}")
        batches = [
            collate(samples[at : at + self.batch_size], self.pad_id, self.apart, self._seed(window, at))
            for at in starts
        ]
        rng.shuffle(batches)
        return [batches[at : at + self.accumulation] for at in range(0, len(batches), self.accumulation)]

    def _packed_step(self, window: int, at: int, samples: Sequence[Sample]) -> list[Batch]:
        parts = spread([len(sample.ids) for sample in samples], self.accumulation)
        return [
            collate([samples[i] for i in part], self.pad_id, self.apart, self._seed(window, at + part[0]), packed=True)
            for part in parts
        ]


def spread(lengths: Sequence[int], n: int) -> list[list[int]]:
    """Divide samples into `n` parts of about equal numbers of tokens, or one part per sample where there are fewer.

    The longest sample goes first, each to the part with the fewest tokens.

    Args:
        lengths: lengths of the samples in tokens.
        n: number of parts.

    Returns:
        Indices of the samples of each part, ascending.
    """
    parts: list[list[int]] = [[] for _ in range(min(n, len(lengths)))]
    sizes = [(0, number) for number in range(len(parts))]
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        size, number = heapq.heappop(sizes)
        parts[number].append(index)
        heapq.heappush(sizes, (size + lengths[index], number))
    return [sorted(part) for part in parts]
