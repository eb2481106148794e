"""Archives of what one works with: a model, its tokenizers and all settings in one file."""
