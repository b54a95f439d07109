"""What ``evaluate`` and ``results show`` share: the format of a table, and its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from handbench.reports.tables import Ties
    from handbench.scores.results import Results

TABLE, JSON, FREIHAND = "table", "json", "freihand"
FORMATS = (TABLE, "markdown", "latex", "csv", JSON, FREIHAND)


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameters ``columns``, ``decimals``, ``percent`` and ``intervals``."""
    options = (
        click.option(
            "--format",
            "layout",
            type=click.Choice(FORMATS),
            default=TABLE,
            show_default=True,
            help="Text, a table for Markdown, LaTeX (booktabs) or a spreadsheet, JSON, or the "
            "scores.txt of FreiHAND and HO-3D.",
        ),
        click.option(
            "--columns",
            multiple=True,
            metavar="METRIC,…",
            help="Metrics to show, in this order, by name or beginning of a name; 'all' for every "
            "one.  [default: the ranking one and the next four]",
        ),
        click.option(
            "--decimals",
            type=click.IntRange(0, 12),
            metavar="N",
            help="Digits after the point.  [default: 3 for fractions, 1 for percent, 2 for px and "
            "mm; csv: all]",
        ),
        click.option("--percent", is_flag=True, help="Fractions times 100."),
        click.option("--intervals", is_flag=True, help="95 % intervals beside the values."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Layout:
    """The options of :func:`table_options` as they were given."""

    layout: str
    columns: tuple[str, ...]
    decimals: int | None
    percent: bool
    intervals: bool

    @classmethod
    def given(cls, as_json: bool, **options: Any) -> Layout:
        """Options of a command that also has ``--json``; a usage error where they disagree."""
        layout = cls(**options)
        if as_json and layout.layout not in (TABLE, JSON):
            raise click.UsageError(f"choose one of --json and --format {layout.layout}")
        layout = replace(layout, layout=JSON) if as_json else layout
        layout.check()
        return layout

    @property
    def whole(self) -> bool:
        """Whether it is the table that says everything."""
        return self.layout == TABLE and not self.chosen

    @property
    def chosen(self) -> bool:
        """Whether anything but the format was asked for."""
        return bool(self.columns or self.percent or self.intervals) or self.decimals is not None

    def check(self) -> None:
        """Raise a usage error where an option means nothing for the format."""
        if self.chosen and self.layout in (JSON, FREIHAND):
            raise click.UsageError(
                f"--columns, --decimals, --percent and --intervals do not go with --format "
                f"{self.layout}, which holds everything"
            )

    def write(
        self, named: Sequence[tuple[str, Results]], ties: Mapping[str, Ties] | None = None
    ) -> str:
        """Results as text in the chosen format.

        Parameters
        ----------
        named
            Label of the model and its results.
        ties
            See :func:`handbench.reports.tables.paper_tables`.
        """
        from handbench.files import to_json
        from handbench.reports import official, table_formats
        from handbench.reports.table_columns import Choice, split_columns
        from handbench.reports.tables import paper_tables

        if self.layout == FREIHAND:
            for label, results in named:
                for remark in official.remarks(results):
                    click.echo(f"Note: {label}: {remark}", err=True)
            return official.official(named)
        columns = tuple(name for text in self.columns for name in split_columns(text))
        if self.layout == JSON:
            columns = ("all",)
        choice = Choice(columns, self.decimals, self.percent, self.intervals)
        tables = paper_tables(named, choice, ties)
        if self.layout == JSON:
            return to_json({"tables": table_formats.to_data(tables)}).decode()
        writers = {
            TABLE: table_formats.to_text,
            "markdown": table_formats.to_markdown,
            "latex": table_formats.to_latex,
            "csv": table_formats.to_csv,
        }
        return writers[self.layout](tables, choice)
