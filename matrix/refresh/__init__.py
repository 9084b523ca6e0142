"""From a green run: result files and constants (`artifacts`), and three branches (`branches`)."""
