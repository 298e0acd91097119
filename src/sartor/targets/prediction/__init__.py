"""Latencies of policies from what their layers take, each alone."""
