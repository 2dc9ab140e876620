"""The benchmarks P1 to P11: `python -m tests.benchmarks`, `make bench`. See docs/benchmarks.md."""
