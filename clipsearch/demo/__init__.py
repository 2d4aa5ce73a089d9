"""The bundled catalogue and starter model, and the code that makes both. Knows nothing of the store."""
