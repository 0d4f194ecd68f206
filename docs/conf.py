"""Sphinx: the documentation is built with `-W`, so a dead link or a page in no toctree fails `make test`."""

import alerta_opsgenie

project = "alerta-opsgenie"
author = "the alerta-opsgenie authors"
version = release = alerta_opsgenie.__version__
extensions = ["myst_parser", "sphinx_copybutton"]
# The button copies the commands alone: no prompt, no output.
copybutton_prompt_text = r"[$#] "
copybutton_prompt_is_regexp = True
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "alerta-opsgenie"
html_static_path = ["_static"]
html_css_files = ["commands.css"]
# Pages of the vendor are linked by hand; their names change, so nothing is fetched while building.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

_MAN = "a two-way bridge between Alerta and Opsgenie or Jira Service Management"
man_pages = [
    ("reference/cli", "alerta-opsgenie", _MAN, [author], 1),
    ("reference/executor", "oecAlertaExecutor", "apply the actions that OEC or JEC receives to Alerta", [author], 1),
    ("reference/settings", "alerta-opsgenie", "settings of the plugin and of a connector", [author], 5),
]
