"""What people said and how they judged it: the facts from which everything else is learned.

Knows no model, no page and none of the other packages.
"""
