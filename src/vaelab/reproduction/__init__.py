"""Reproduction targets: published or exact numbers, measured, that pass or fail."""

from vaelab.reproduction.target import reproduce
from vaelab.reproduction.verdict import Verdict, report

__all__ = ["Verdict", "report", "reproduce"]
