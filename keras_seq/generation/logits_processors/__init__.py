"""Logits processors change what the next token is chosen from."""
