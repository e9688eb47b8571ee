"""A draft is a token tree; one pass scores it; a rule keeps one path: see ``generate``."""
