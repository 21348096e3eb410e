"""One view of a run as data, and the page and tables made from nothing else."""

from bench.report.html import render_html
from bench.report.plan_page import render_plan
from bench.report.validation_page import render_validation
from bench.report.view import View, build_view

__all__ = ["View", "build_view", "render_html", "render_plan", "render_validation"]
