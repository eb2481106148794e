"""Quantizers: vectors to the ids of codes, and back."""
