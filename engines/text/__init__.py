"""What a text that comes from outside may show to the person."""
