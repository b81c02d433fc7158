"""Explore a space: Hyperband, trials, workers, budget, resume, progress.

Importing this package is light; Keras and Keras Tuner are imported when a search begins.
"""

from tuning.budget import Budget
from tuning.schedule import Rung, hyperband_schedule, schedule_of
from tuning.search import SearchOptions, run_search
from tuning.state import FinishedTrial, SearchResult, load_search, search_directory
from tuning.tasks import DENOISER, DETECTOR, REFRACTORY, TASK_NAMES, Task

__all__ = [
    "DENOISER",
    "DETECTOR",
    "REFRACTORY",
    "TASK_NAMES",
    "Budget",
    "FinishedTrial",
    "Rung",
    "SearchOptions",
    "SearchResult",
    "Task",
    "hyperband_schedule",
    "load_search",
    "run_search",
    "schedule_of",
    "search_directory",
]
