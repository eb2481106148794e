"""Recurrent layers, their cells and the engine that runs them over time."""
