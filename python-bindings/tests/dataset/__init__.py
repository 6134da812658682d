"""Datasets: verbs, functions, feeds."""
