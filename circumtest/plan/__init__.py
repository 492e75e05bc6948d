"""What to try: plans, read from TOML and carried out cell by cell."""

from circumtest.plan.read import load, parse
from circumtest.plan.values import TARGETS, Plan

__all__ = ["TARGETS", "Plan", "load", "parse"]
