"""How Sphinx builds these pages."""

from aind_launcher import __version__

project = "aind-launcher"
author = "aind-launcher contributors"
copyright = "2026, aind-launcher contributors"  # Sphinx's own name for it
release = version = __version__

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"aind-launcher {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
