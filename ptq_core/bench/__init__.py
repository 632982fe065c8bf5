"""Latency on a device: devices, the protocol of `benchmark_bin`, statistics, advice, reports."""
