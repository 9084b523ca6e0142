"""Where a likelihood's time goes, step by step."""
