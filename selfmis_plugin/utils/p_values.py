"""p-values in print."""

from __future__ import annotations

__all__ = ["shown_p"]


def shown_p(value: float | None) -> str:
    """Return a p-value with three decimals, and never as zero; ``-`` where there is none."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
