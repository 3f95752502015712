"""English: words, expressions and clauses of a message, before anything of the catalog is looked for in them."""
