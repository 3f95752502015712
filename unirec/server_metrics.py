"""Counters of the teacher server in Prometheus' text format."""

from collections import Counter
from dataclasses import dataclass, field

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass
class ServerMetrics:
    """Counts since the process started; added to by the event loop and the model's one worker."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    latency_buckets: Counter[float] = field(default_factory=Counter)
    latency_sum_s: float = 0.0
    latency_count: int = 0
    batches: int = 0
    rows: int = 0
    model_s: float = 0.0

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        self.requests[path, status] += 1
        self.latency_count += 1
        self.latency_sum_s += seconds
        for bound in _BUCKETS_S:
            if seconds <= bound:
                self.latency_buckets[bound] += 1

    def observe_batch(self, rows: int, seconds: float) -> None:
        self.batches += 1
        self.rows += rows
        self.model_s += seconds

    def render(self, queued_rows: int) -> str:
        """The page of GET /metrics."""
        lines = ["# TYPE teacher_requests_total counter"]
        lines += [
            f'teacher_requests_total{{path="{path}",status="{status}"}} {count}'
            for (path, status), count in sorted(self.requests.items())
        ]
        lines.append("# TYPE teacher_request_seconds histogram")
        lines += [
            f'teacher_request_seconds_bucket{{le="{b:g}"}} {self.latency_buckets[b]}' for b in _BUCKETS_S
        ]
        lines += [
            f'teacher_request_seconds_bucket{{le="+Inf"}} {self.latency_count}',
            f"teacher_request_seconds_sum {self.latency_sum_s:.6f}",
            f"teacher_request_seconds_count {self.latency_count}",
        ]
        for name, kind, value in (
            ("teacher_batches_total", "counter", self.batches),
            ("teacher_rows_total", "counter", self.rows),
            ("teacher_model_seconds_total", "counter", round(self.model_s, 6)),
            ("teacher_queued_rows", "gauge", queued_rows),
        ):
            lines += [f"# TYPE {name} {kind}", f"{name} {value}"]
        return "\n".join(lines) + "\n"
