"""The browser pages: the only place where gradio is imported. One file a page, and what pages share."""
