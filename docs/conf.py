"""How Sphinx builds this documentation: Markdown pages in the Furo theme, without a network."""

project = "PerDNN testbed"
html_title = project
extensions = ["myst_parser"]
html_theme = "furo"
myst_heading_anchors = 3  # a link may lead to a heading: page.md#its-heading
