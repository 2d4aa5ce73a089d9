"""How the starter model is made and measured: tokenizer, architecture, shards, training, assessment."""
