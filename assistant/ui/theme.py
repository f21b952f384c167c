"""How the pages look: gradio's theme in our colours, and the style sheets and scripts beside the code.

Fonts are those of the reader's system and everything is sent by ourselves, so the pages work without a
network. Light and dark follow the system: no colour stands outside `colours.css`.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent
FONTS = (
    "-apple-system",
    "BlinkMacSystemFont",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Helvetica Neue",
    "Arial",
    "sans-serif",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")
FAVICON = HERE / "favicon.svg"

_VARIABLES = {
    "body_background_fill": "--paper",
    "background_fill_primary": "--paper",
    "background_fill_secondary": "--sunk",
    "body_text_color": "--ink",
    "body_text_color_subdued": "--faint",
    "border_color_primary": "--rule",
    "border_color_accent": "--accent",
    "color_accent_soft": "--tint",
    "block_background_fill": "--paper",
    "block_border_color": "--rule",
    "block_label_text_color": "--faint",
    "block_title_text_color": "--ink",
    "block_info_text_color": "--faint",
    "input_background_fill": "--raised",
    "input_background_fill_focus": "--raised",
    "input_border_color": "--rule",
    "input_border_color_focus": "--accent",
    "input_placeholder_color": "--faint",
    "button_primary_background_fill": "--accent",
    "button_primary_background_fill_hover": "--accent-strong",
    "button_primary_border_color": "--accent",
    "button_primary_text_color": "--on-accent",
    "button_secondary_background_fill": "--raised",
    "button_secondary_background_fill_hover": "--sunk",
    "button_secondary_border_color": "--rule",
    "button_secondary_text_color": "--ink",
    "checkbox_background_color_selected": "--accent",
    "checkbox_border_color_selected": "--accent",
    "checkbox_label_background_fill": "--raised",
    "checkbox_label_background_fill_selected": "--tint",
    "checkbox_label_border_color": "--rule",
    "checkbox_label_border_color_selected": "--accent",
    "checkbox_label_text_color": "--ink",
    "checkbox_label_text_color_selected": "--ink",
    "link_text_color": "--accent",
}


def theme() -> gr.themes.Base:
    """Gradio's plain theme with every colour that we use from `colours.css`, for light and dark alike."""
    base = gr.themes.Base(font=FONTS, font_mono=MONO, radius_size=gr.themes.sizes.radius_lg)
    colours = {name: f"var({variable})" for name, variable in _VARIABLES.items()}
    dark = {f"{name}_dark": value for name, value in colours.items()}
    known = {name: value for name, value in dark.items() if hasattr(base, name)}
    return base.set(**colours, **known, block_shadow="none", input_shadow="none", button_transition="none")


def style(*names: str) -> str:
    """The named style sheets, one after the other."""
    return "\n".join((HERE / f"{name}.css").read_text(encoding="utf-8") for name in names)


def favicon() -> str:
    """Our mark as a `data:` address."""
    return "data:image/svg+xml;base64," + b64encode(FAVICON.read_bytes()).decode()


def head(*names: str) -> str:
    """What a gradio page gets into its head: our mark and the named style sheets.

    They do not go through gradio's `css`, which rewrites selectors and loses those that begin with `body`.
    """
    return f'<link rel="icon" type="image/svg+xml" href="{favicon()}"><style>{style(*names)}</style>'


def script(*names: str) -> str:
    """The named scripts, one after the other."""
    return "\n".join((HERE / f"{name}.js").read_text(encoding="utf-8") for name in names)
