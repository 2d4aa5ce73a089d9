"""What the server counts, in Prometheus's format. The only module that knows prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server; a registry of its own, so two servers in a process do not mix."""

    def __init__(
        self, *, in_flight: Callable[[], int], queued: Callable[[], int], points: Callable[[], dict[str, int]]
    ) -> None:
        """Each function is asked when somebody reads the metrics. points: how many, by collection."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self._registry = CollectorRegistry()
        self._requests: Any = Counter(
            "clipsearch_requests",
            "Requests answered, by route and status.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds: Any = Histogram(
            "clipsearch_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ["route", "status"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches: Any = Histogram(
            "clipsearch_batch_size",
            "Texts or pictures that were encoded together.",
            ["kind"],
            buckets=_BATCHES,
            registry=self._registry,
        )
        flying: Any = Gauge("clipsearch_in_flight", "Requests being worked on.", registry=self._registry)
        flying.set_function(in_flight)
        waiting: Any = Gauge(
            "clipsearch_queue_depth", "Requests waiting for a thread.", registry=self._registry
        )
        waiting.set_function(queued)
        self._registry.register(_Points(points))
        ProcessCollector(registry=self._registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, str(status)).observe(seconds)

    def batch(self, kind: str, n: int) -> None:
        """n texts or images were encoded together."""
        self._batches.labels(kind).observe(n)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)


class _Points:
    def __init__(self, points: Callable[[], dict[str, int]]) -> None:
        self._points = points

    def describe(self) -> Iterable[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        family: Any = GaugeMetricFamily(
            "clipsearch_points", "Pictures in an open collection.", labels=["collection"]
        )
        for name, n in self._points().items():
            family.add_metric([name], n)
        yield family
