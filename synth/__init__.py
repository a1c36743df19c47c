"""New samples from an instruct model, LM scores, and their verification."""
