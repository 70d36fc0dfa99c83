"""Rows to tables, a figure and one HTML page."""

from ult_lightning.report._figure import figure, write_figure
from ult_lightning.report._html import html, write_html
from ult_lightning.report._style import ARMS, arm_order
from ult_lightning.report._table import Line, Section, Table, table
from ult_lightning.report._write import write_report

__all__ = [
    "ARMS",
    "Line",
    "Section",
    "Table",
    "arm_order",
    "figure",
    "html",
    "table",
    "write_figure",
    "write_html",
    "write_report",
]
