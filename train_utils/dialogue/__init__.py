"""A conversation between a user and a recommender: what it expects of the user, what it answers, and why."""
