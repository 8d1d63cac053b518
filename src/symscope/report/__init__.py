"""Charts and tables put in order on one self-contained page."""

from symscope.report.combine import combine_inputs
from symscope.report.inputs import ReportInputs, load_inputs, save_inputs
from symscope.report.page import ReportFiles, write_report

__all__ = ["ReportFiles", "ReportInputs", "combine_inputs", "load_inputs", "save_inputs", "write_report"]
