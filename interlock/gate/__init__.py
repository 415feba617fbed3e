"""What must be closed before something moves, and is it? Pure: the required set, waivers, the decision, plans, approvals, the caller."""
