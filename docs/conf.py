"""Sphinx configuration: MyST pages whose code runs, a gallery of executed examples, a reference from the docstrings."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
sys.path.insert(0, str(HERE.parent))

# Kernels of notebooks and of the gallery see this checkout, and progress bars do not end up in pages.
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
os.environ["FASTPATCH_DOCS"] = str(HERE)
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

import fastpatch  # noqa: E402

project = "fastpatch"
author = "The fastpatch developers"
project_copyright = "2026, the fastpatch developers"
version = release = fastpatch.__version__

extensions = [
    "commands",
    "reference",
    "scrubber",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.katex",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "_ext", "examples", "**/*.py", "gallery/*.ipynb", "gallery/*.json"]
suppress_warnings = ["config.cache"]
nitpicky = True
default_role = "py:obj"

# ---- pages ----
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_timeout = 900  # seconds a cell, on a machine that is busy with other work
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

# ---- reference ----
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_use_rtype = False

# ---- mathematics: KaTeX comes with the extension, its style and fonts lie in _static: no page needs a network ----
katex_css_path = "katex/katex.min.css"

# ---- gallery ----
sphinx_gallery_conf = {
    "examples_dirs": ["examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "image_srcset": ["2x"],
    "matplotlib_animations": False,
    "min_reported_time": 5,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "reset_modules": ("matplotlib",),
    "backreferences_dir": None,
}

# ---- HTML ----
html_theme = "furo"
html_title = f"fastpatch {release}"
html_static_path = ["_static"]
(HERE / "_build" / "scrubbing").mkdir(parents=True, exist_ok=True)  # filled by the extension `scrubber`
html_extra_path = ["_build/scrubbing"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "native"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app):
    """Sections collect the pages of a topic by a pattern; one that matches none is left out."""

    def drop_empty_patterns(app, name, source):
        lines = source[0].splitlines()
        kept = [
            line
            for line in lines
            if not line.endswith("*") or " " in line or line.startswith("*") or any(HERE.glob(f"**/{line}.*"))
        ]
        source[0] = "\n".join(kept) + "\n"

    app.connect("source-read", drop_empty_patterns)
