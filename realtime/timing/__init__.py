"""How old a result is when it comes out, and what each part of a frame costs."""
