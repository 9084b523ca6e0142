"""A corpus of systems as likelihoods hand them over, and every solver of a release judged on it."""
