"""Cells as a user writes them, with public imports alone; `docs/extending/cells.md` shows them."""
