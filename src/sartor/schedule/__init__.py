"""Iterative compression (AMC, section 4): stages of search, pruning and fine-tuning, each from what the one before left."""

from sartor.schedule._plan import Schedule
from sartor.schedule._stages import Observer, run_schedule, stage_folder

__all__ = ["Observer", "Schedule", "run_schedule", "stage_folder"]
