"""What can be said about one text, or a set of texts. Knows no engine and no recipe."""
