"""Members of sartor's families, as another package would define them."""
