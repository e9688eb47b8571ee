"""Values from a function: read ``features`` first, then the loops of Part I with other storage."""
