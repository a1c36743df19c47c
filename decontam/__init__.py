"""Benchmark text inside training text."""
