"""How fast attribution is, beside the floor, plain Python, pandas and the design of the original system."""
