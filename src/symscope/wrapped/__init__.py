"""Networks made from trained modules of torch and Hugging Face.

An adapter compares its logits with those of the module, and a site passes `check_network` at its first use.
"""

from symscope.wrapped.causal_lm import CausalLM, load_causal_lm, wrap_causal_lm
from symscope.wrapped.recurrent import WrappedRecurrent, wrap_recurrent
from symscope.wrapped.stepwise import Stepwise

__all__ = ["CausalLM", "Stepwise", "WrappedRecurrent", "load_causal_lm", "wrap_causal_lm", "wrap_recurrent"]
