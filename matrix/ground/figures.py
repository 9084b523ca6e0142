"""Figures as PNG files, the same bytes for the same numbers."""

import io

from matrix.ground.redaction import secrets_set_aside

# Matplotlib asks a program of the system's for the fonts when one of these is first imported.
with secrets_set_aside():
    from matplotlib.axes import Axes as Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Figure
    from matplotlib.tri import LinearTriInterpolator as LinearTriInterpolator
    from matplotlib.tri import Triangulation as Triangulation

DPI = 150


def png(figure: Figure) -> bytes:
    """The figure as a PNG, the same for the same numbers."""
    stream = io.BytesIO()
    FigureCanvasAgg(figure)
    # Without the version of the plotting library in it, equal numbers give equal bytes.
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()
