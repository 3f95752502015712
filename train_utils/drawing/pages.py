"""Charts of HTML pages, drawn by matplotlib."""

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from train_utils.drawing.figures import inline_svg


@dataclass(frozen=True)
class Picture:
    """Chart of the report.

    Attributes:
        name: name of the file, and prefix of the ids of its elements.
        section: section of the page.
        caption: caption below the chart.
        figure: the figure.
    """

    name: str
    section: str
    caption: str
    figure: Figure

    @property
    def svg(self) -> Markup:
        return Markup(inline_svg(self.figure, self.name, self.caption))
