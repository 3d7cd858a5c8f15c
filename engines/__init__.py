"""How an encoder runs: its input contract, its similarity, and the run times that execute it."""
