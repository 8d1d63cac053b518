"""Does a member keep the laws of its family? For tasks, algorithms and networks of your own, and for all of ours.

Each check takes a finished member and returns nothing, or raises a `BrokenLawError` that says which law broke, and
where. Everything else in symscope relies on these laws and does not check them again.
"""

from symscope.checks.algorithm import check_algorithm
from symscope.checks.network import check_network
from symscope.checks.task import check_task

__all__ = ["check_algorithm", "check_network", "check_task"]
