"""Tools that look closer at one question: survey, sweep, probe and the audits."""
