"""Other libraries' names for Lamina's objects."""
