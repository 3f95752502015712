"""What a title may go on with: tries, rules, matchers."""
