"""Report of an audit: one HTML page with plots, next to `audit.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train_utils.files import write_text
from train_utils.printable import printable

REPORT = "report.html"


def write_report(audit: Mapping[str, Any], folder: Path) -> str:
    """Write the page of an audit, and return a line that says where it is, or why there is none.

    Raises:
        OSError: it cannot be written.
    """
    try:
        page = render_report(audit, folder.name)
    except ImportError as error:
        return f"no {REPORT}: {error.name} is not installed (pip install matplotlib jinja2)"
    write_text(folder / REPORT, page)
    return f"report: {folder / REPORT}"


def render_report(audit: Mapping[str, Any], name: str) -> str:
    """Render the page of an audit, without the control characters of what the raw files hold."""
    from train_utils.drawing.pages import page_environment  # here, since not everyone installs matplotlib

    page = page_environment(Path(__file__).parent).get_template("report.html.jinja")
    return printable(
        page.render(
            title=f"{name}: {audit['items']['kept']:,} items" + _users(audit),
            conditions=f"{audit['source']}; {_split(audit)}",
            parts=[(part, audit[part]) for part in ("events", "users", "items") if part in audit],
            facts=facts_of(audit),
            pictures=draw_audit(audit),
            inputs=audit["inputs"],
            filters=audit.get("filters", {}),
        )
    )


def _users(audit: Mapping[str, Any]) -> str:
    return f", {audit['users']['kept']:,} users, {audit['events']['kept']:,} events" if "users" in audit else ""


def _split(audit: Mapping[str, Any]) -> str:
    if "events" not in audit:
        return "a catalog without users"
    split = audit.get("split")
    return f"split in time, training up to {split['last_training_time']}" if split else "leave-one-out"


def facts_of(audit: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, value) of what a reader of results should know."""
    facts: list[tuple[str, str]] = []
    if ties := audit.get("time_ties"):
        tied, users = ties["users_whose_last_two_events_tie"], ties["users_with_two_events"]
        facts += [
            (f"users whose last two events tie in time (order: {ties['rule']})", f"{tied:,} of {users:,}"),
            ("events that tie with the one before", f"{ties['events_tied_with_the_one_before']:,}"),
            ("events of a user and an item again", f"{audit['duplicates']['events']:,}"),
        ]
    clashes = audit["title_clashes"]
    facts += [
        ("titles that several items share", f"{clashes['titles']:,} ({clashes['items_suffixed']:,} items numbered)"),
        ("titles cut to the limit of tokens", f"{audit['titles_cut']:,}"),
    ]
    if seen := audit.get("targets_in_visible_history"):
        facts.append((f"test targets among the {seen['visible']} events before them", f"{seen['test']:,}"))
    if cold := audit.get("cold"):
        facts += [
            ("items without a training event", f"{cold['items']:,}"),
            ("test targets without a training event", f"{cold['test targets']:,}"),
        ]
    facts += [(f"share of the events: {name} of the items", f"{share:.1%}") if name != "gini" else
              ("Gini coefficient of the items' popularity", f"{share:.2f}")
              for name, share in audit.get("popularity", {}).items()]  # fmt: skip
    if span := audit.get("time_span"):
        facts.append(("time span", f"{span['first']} to {span['last']}"))
    return facts


def draw_audit(audit: Mapping[str, Any]) -> list[Any]:
    """Draw the plots that the audit has data for."""
    from matplotlib import rc_context

    from train_utils.drawing.figures import STYLE
    from train_utils.drawing.pages import Picture

    pictures = []
    with rc_context(STYLE):
        for key, what, each in (
            ("events_per_user", "users", "events per user"),
            ("events_per_item", "items", "events per item"),
            ("title_tokens", "titles", "tokens per title"),
        ):
            if key in audit:
                figure = draw_bins(audit[key]["bins"], f"number of {what}", each)
                median = audit[key]["median"]
                caption = f"{each.capitalize()}: median {median:g}, largest {audit[key]['max']:,}."
                pictures.append(Picture(key, "data", caption, figure))
        if span := audit.get("time_span", {}).get("events"):
            unit = audit["time_span"]["per"]
            figure = draw_bins(span, "number of events", unit)
            pictures.append(Picture("time", "data", f"Events per {unit}.", figure))
    return pictures


def draw_bins(bins: Mapping[str, int], title: str, key: str) -> Any:
    """Draw a bar per bin; of many bins some are labeled."""
    from train_utils.drawing.figures import ACCENT, WIDTH, make_figure, plain_axes

    figure = make_figure(WIDTH, 3.2)
    ax = figure.subplots()
    ax.bar(range(len(bins)), list(bins.values()), color=ACCENT, width=0.8, zorder=2)
    step = max(1, len(bins) // 4)
    labels = list(bins)[::step]
    ax.set_xticks(range(0, len(bins), step), labels, fontsize=9)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    plain_axes(ax, title, key)
    return figure
