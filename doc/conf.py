"""Configuration of Sphinx."""

import kernelkit

project = "kernelkit"
author = "The kernelkit developers"
copyright = author
version = release = kernelkit.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "py:obj"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 2

autodoc_typehints = "none"  # the docstrings say more
numpydoc_show_class_members = False  # the class template lists them
numpydoc_validation_checks = {  # with warnings as errors, the check of the docstrings
    "all",
    *("ES01", "EX01", "SA01"),  # extended summary, examples, see also: where they help
    "GL01",  # the summary stands on the line of the quotes
    "RT02",  # results have names
    "RT03",  # "self : MultivariateECDF" says enough
}
numpydoc_validation_exclude = {
    r"^kernelkit\.distributed\.[A-Z]\w+$",  # parameters stand at the plain class
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "backreferences_dir": "api/generated/backreferences",
    "doc_module": ("kernelkit",),
    "reference_url": {"kernelkit": None},
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 10,
}

html_theme = "pydata_sphinx_theme"
html_title = f"kernelkit {version}"
html_show_sourcelink = False
html_theme_options = {"show_toc_level": 2, "secondary_sidebar_items": ["page-toc"]}
