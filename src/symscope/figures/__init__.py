"""One file per figure: a pure function from a result table to a chart, in one house style."""

from symscope.figures.catalogue import draw_figures
from symscope.figures.gradience import gradience
from symscope.figures.iia_bars import iia_bars
from symscope.figures.iia_by_size import iia_by_k
from symscope.figures.paper import save_paper_figure, save_paper_figures
from symscope.figures.save import chart_svg, save_figure
from symscope.figures.states import aligned_states
from symscope.figures.training import training
from symscope.figures.trial_accuracy import trial_accuracy
from symscope.figures.whole_state import whole_state

__all__ = [
    "aligned_states",
    "chart_svg",
    "draw_figures",
    "gradience",
    "iia_bars",
    "iia_by_k",
    "save_figure",
    "save_paper_figure",
    "save_paper_figures",
    "training",
    "trial_accuracy",
    "whole_state",
]
