"""Charts and tables put in order on one self-contained page."""

from symscope.report.claims_page import CLAIMS_FILE, claims_inputs, claims_markdown
from symscope.report.combine import combine_inputs
from symscope.report.inputs import ReportInputs, load_inputs, save_inputs
from symscope.report.page import ReportFiles, write_report

__all__ = [
    "CLAIMS_FILE",
    "ReportFiles",
    "ReportInputs",
    "claims_inputs",
    "claims_markdown",
    "combine_inputs",
    "load_inputs",
    "save_inputs",
    "write_report",
]
