"""What the figures in docs/performance.md come from: `make bench`, or `python -m benchmarks`."""
