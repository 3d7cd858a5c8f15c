"""Encoders tested on people whom they were not trained on, in float and in 8 bits."""

# The folder of the training that sets outside the recipe are tested on.
OUTSIDE = "outside-the-recipe"
REPORT, FIGURES = "report.md", "report.json"  # beside the folders of the sets
