"""Who gets the credit for a conversion, and how much money: versions, runs, and the set-based split."""
