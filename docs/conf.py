"""Sphinx: the documentation is built with `-W`, so a broken link or heading fails `make test`."""

import alerta_opsgenie

project = "alerta-opsgenie"
author = "the alerta-opsgenie authors"
version = release = alerta_opsgenie.__version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "alerta-opsgenie"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]
