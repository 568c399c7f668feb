"""The built files of the web console, in `dist/`; they are served below `/console/`."""
