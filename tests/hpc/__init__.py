"""Tests of the cluster's two ends."""
