"""What the server counts, through prometheus_client: in one process, or summed over worker processes.

Over several processes the library reads the folder PROMETHEUS_MULTIPROC_DIR, which must be set before it is
imported.
"""

import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ServerMetrics:
    """One application's counts; added to by its event loop and by the model's one worker thread."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self.requests = Counter("teacher_requests", "Answered requests.", ["path", "status"], registry=own)
        self.request_seconds = Histogram(
            "teacher_request_seconds", "From a request's head to its answer's end.", ["path"],
            registry=own, buckets=_BUCKETS_S,
        )  # fmt: skip
        self.in_progress = Gauge(
            "teacher_requests_in_progress", "Requests begun and not yet answered.",
            registry=own, multiprocess_mode="livesum",
        )  # fmt: skip
        self.queued_rows = Gauge(
            "teacher_queued_rows", "Histories that wait for the model.",
            registry=own, multiprocess_mode="livesum",
        )  # fmt: skip
        self.batches = Counter("teacher_batches", "Passes of the model.", ["dataset"], registry=own)
        self.rows = Counter("teacher_rows", "Histories answered.", ["dataset"], registry=own)
        self.model_seconds = Counter("teacher_model_seconds", "Time spent on the histories.", ["dataset"], registry=own)

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        self.requests.labels(path, status).inc()
        self.request_seconds.labels(path).observe(seconds)

    def observe_batch(self, dataset: str, rows: int, seconds: float) -> None:
        self.batches.labels(dataset).inc()
        self.rows.labels(dataset).inc(rows)
        self.model_seconds.labels(dataset).inc(seconds)

    def page(self) -> bytes:
        """Return the body of GET /metrics: of this process, or of all workers."""
        if MULTIPROCESS_FOLDER not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)


def forget_dead_workers(folder: Path) -> None:
    """Drop the gauges of worker processes that crashed; the replacement of one calls this as it starts."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # two replacements may start at once
                mark_process_dead(pid, str(folder))
