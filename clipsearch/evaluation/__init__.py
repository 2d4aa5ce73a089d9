"""Evaluation: metrics and resampling in NumPy. Knows no model, no store and no file format."""
