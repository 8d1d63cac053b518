"""Does a member keep the laws of its family? For members of your own, and for all of ours.

Each check takes a finished task, algorithm, network or alignment function and returns nothing, or raises a
`BrokenLawError` that says which law broke, and where. Everything else in symscope relies on these laws and does not
check them again.
"""

from symscope.checks.algorithm import check_algorithm
from symscope.checks.function import check_alignment_function
from symscope.checks.network import check_natural_runs, check_network
from symscope.checks.task import check_task

__all__ = ["check_algorithm", "check_alignment_function", "check_natural_runs", "check_network", "check_task"]
