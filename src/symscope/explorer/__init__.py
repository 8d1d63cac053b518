"""The explorer: one offline page in which a network runs, and in which its variables are swapped by hand."""

from symscope.explorer.document import Subject
from symscope.explorer.explorer import Explorer, explore, explore_subjects, load_explorer
from symscope.explorer.networks import check_runs_in_page
from symscope.explorer.replay import PageSwap

__all__ = [
    "Explorer",
    "PageSwap",
    "Subject",
    "check_runs_in_page",
    "explore",
    "explore_subjects",
    "load_explorer",
]
