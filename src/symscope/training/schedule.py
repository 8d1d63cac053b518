"""The learning rate of the paper: warm-up, then decay (TMLR 2025, appendix)."""


def learning_rate(update: int, peak: float, *, warmup: int = 100, power: float = 0.5, floor: float = 1e-7) -> float:
    """min(L t/W, max(L (W/t)^p, floor)) at update t, counted from 1, with peak L and warm-up W."""
    return min(peak * update / warmup, max(peak * (warmup / update) ** power, floor))
