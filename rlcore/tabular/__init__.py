"""Values in a table: targets, prediction, control."""
