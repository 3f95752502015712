"""Samples on their way to the loop: step -> micro-batches, made a window of steps at a time, one window ahead."""

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
    """step -> micro-batches on `device`, made in a thread.

    Within a window samples are sorted by length before they are cut into batches, so little is padding; the
    recommender is asked once a window. With `epochs` nothing is made behind the window of the last step, and that every
    sample can fit is checked first.

    Args:
        encode, apart: how a method makes samples and batches of conversations; see `train_utils.samples.encode`.
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
    ):
        self.source, self.chat, self.encode, self.apart = source, chat, encode, apart
        self.batch_size, self.accumulation, self.pad_id, self.device = batch_size, accumulation, pad_id, device
        assert chat.trie is not None  # samples are of a catalog
        self.choices = ScopeLabels(chat.trie)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="samples")
        self._windows: dict[int, Future[list[list[Batch]]]] = {}
        self._n_windows = math.inf if epochs is None else math.ceil(self.steps(epochs) / WINDOW_STEPS)
        if epochs is not None:
            source.check(epochs)

    def close(self) -> None:
        """Begins no further window."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def steps(self, epochs: int) -> int:
        return math.ceil(self.source.samples(epochs) / (self.batch_size * self.accumulation))

    def __call__(self, step: int) -> list[Batch]:
        window, offset = divmod(step, WINDOW_STEPS)
        for wanted in (window, window + 1):
            if wanted not in self._windows and wanted < self._n_windows:
                self._windows[wanted] = self._pool.submit(self._make_window, wanted)
        self._windows = {w: f for w, f in self._windows.items() if w >= window}
        return [batch.to(self.device) for batch in self._windows[window].result()[offset]]

    def ask_ahead(self) -> None:
        """Asks the recommender all that the `epochs` will ask it, a window at a time."""
        for window in tqdm(range(int(self._n_windows)), desc="teacher", unit="window", mininterval=5):
            self.source.ask_ahead(self._numbers(window))

    def samples(self, numbers: Sequence[int]) -> list[Sample]:
        return [self.encode(self.chat, self.choices, talk, self.source.config) for talk in self.source.talks(numbers)]

    def _numbers(self, window: int) -> range:
        """Numbers of the samples of a window."""
        size = WINDOW_STEPS * self.batch_size * self.accumulation
        return range(window * size, (window + 1) * size)

    def _make_window(self, window: int) -> list[list[Batch]]:
        samples = sorted(self.samples(self._numbers(window)), key=lambda sample: len(sample.ids))
        starts = range(0, len(samples), self.batch_size)
        batches = [collate(samples[at : at + self.batch_size], self.pad_id, self.apart) for at in starts]
        random.Random(f"{self.source.config.seed}/window/{window}").shuffle(batches)
        return [batches[at : at + self.accumulation] for at in range(0, len(batches), self.accumulation)]
