"""Fast decoding: a draft is a token tree; one pass scores it; a rule keeps one path of it."""
