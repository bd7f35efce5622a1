"""Benchmarks: Lamina beside its peers, interleaved in one run."""
