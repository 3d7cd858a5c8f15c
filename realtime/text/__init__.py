"""Text in pictures, in any script: what runs it has, which fonts have its letters, its ink."""
