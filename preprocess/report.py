"""Report of an audit: one HTML page with plots, next to `audit.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bars import bar_chart

from train_utils.files.atomic import write_text
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
        return f"no {REPORT}: {error.name} is not installed (pip install jinja2)"
    write_text(folder / REPORT, page)
    return f"report: {folder / REPORT}"


def render_report(audit: Mapping[str, Any], name: str) -> str:
    """Render the page of an audit, without the control characters of what the raw files hold."""
    from train_utils.drawing.templates import page_environment  # here, since not everyone installs jinja2

    page = page_environment(Path(__file__).parent).get_template("report.html.jinja")
    return printable(
        page.render(
            title=f"{name}: {audit['items']['kept']:,} items" + _users(audit),
            conditions=f"{audit['source']}; {_split(audit)}",
            parts=[(part, audit[part]) for part in ("events", "users", "items") if part in audit],
            facts=facts_of(audit),
            charts=draw_audit(audit),
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


def draw_audit(audit: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (chart in SVG, caption) of what the audit has data for."""
    charts = []
    for key, what, each in (
        ("events_per_user", "users", "events per user"),
        ("events_per_item", "items", "events per item"),
        ("title_tokens", "titles", "tokens per title"),
    ):
        if key in audit:
            median = audit[key]["median"]
            caption = f"{each.capitalize()}: median {median:g}, largest {audit[key]['max']:,}."
            charts.append((bar_chart(audit[key]["bins"], f"number of {what}", each, caption), caption))
    if span := audit.get("time_span", {}).get("events"):
        unit = audit["time_span"]["per"]
        caption = f"Events per {unit}."
        charts.append((bar_chart(span, "number of events", unit, caption), caption))
    return charts
