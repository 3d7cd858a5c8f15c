"""How often the live loop takes a hand that means nothing for a recorded gesture."""
