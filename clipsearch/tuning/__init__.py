"""Training of encoders from pairs of pictures and captions.

pairs gives batches, losses are pure functions, trainer is the loop, checkpoint is what is kept.
"""
