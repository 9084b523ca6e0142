"""What float32 does to the baseline's likelihood."""
