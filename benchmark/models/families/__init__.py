"""One module a family of models: its records, and `build`, which alone knows architecture, file format and tokenizer.

No family imports another. `benchmark.models.registry` finds every module here by itself.
"""
