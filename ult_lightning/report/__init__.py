"""Rows to tables, a figure and one HTML page."""

from ult_lightning.report._columns import Column
from ult_lightning.report._figure import figure
from ult_lightning.report._function_lines import FunctionLine, function_csv, function_lines, function_text, split_rows
from ult_lightning.report._html import html, write_report
from ult_lightning.report._study_figure import study_csv, study_png, write_study
from ult_lightning.report._style import arm_order
from ult_lightning.report._table import Line, Section, Table, table

__all__ = [
    "Column",
    "FunctionLine",
    "Line",
    "Section",
    "Table",
    "arm_order",
    "figure",
    "function_csv",
    "function_lines",
    "function_text",
    "html",
    "split_rows",
    "study_csv",
    "study_png",
    "table",
    "write_report",
    "write_study",
]
