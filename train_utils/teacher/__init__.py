"""The sequential recommender that answers samples and serves as a prior."""
