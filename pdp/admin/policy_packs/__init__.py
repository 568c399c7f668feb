"""Policy packs, their rules, and policy chains."""
