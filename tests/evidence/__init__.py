"""The tables of figures in the docs, measured anew: one module per nox session."""
