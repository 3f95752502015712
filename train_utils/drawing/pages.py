"""HTML pages of reports: self-contained, without scripts and external resources, light and dark."""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from train_utils.drawing.figures import inline_svg


def page_environment(folder: Path) -> Environment:
    """Return the environment of the templates of a folder, which extend `base.html.jinja`. Texts are escaped."""
    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


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
