"""Speed and memory of vaelab beside a hand-written PyTorch loop, measured in the same minutes.

Run by `python scripts/benchmark.py`; not part of the installed package.
"""
