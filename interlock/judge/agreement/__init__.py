"""The judgements of what people signed, which the runner and the family `approval` share. `interlock.facts.statements` holds the nouns."""
