"""Networks made from trained modules of torch and Hugging Face.

An adapter compares its logits with those of the module, and a site passes `check_network` at its first use.
"""

from symscope.wrapped.causal_lm import CausalLM, load_causal_lm, wrap_causal_lm

__all__ = ["CausalLM", "load_causal_lm", "wrap_causal_lm"]
