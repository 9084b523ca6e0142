"""Which result files labelled float64 were float32 in truth."""
