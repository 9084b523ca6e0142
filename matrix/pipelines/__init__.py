"""What runs inside a side: the cell, the likelihood, its measurement and audit."""
