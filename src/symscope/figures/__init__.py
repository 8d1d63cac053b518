"""Figures: each is a pure function from a result table to a chart, and all have one style."""

from symscope.figures._gradience import gradience
from symscope.figures._iia_bars import iia_bars
from symscope.figures._iia_by_size import iia_by_k
from symscope.figures._locations import locations
from symscope.figures._training import training
from symscope.figures._trial_accuracy import trial_accuracy
from symscope.figures._whole_state import whole_state
from symscope.figures.catalogue import draw_figures
from symscope.figures.save import chart_svg, save_figure, save_paper_figure, save_paper_figures
from symscope.figures.states import aligned_states

__all__ = [
    "aligned_states",
    "chart_svg",
    "draw_figures",
    "gradience",
    "iia_bars",
    "iia_by_k",
    "locations",
    "save_figure",
    "save_paper_figure",
    "save_paper_figures",
    "training",
    "trial_accuracy",
    "whole_state",
]
