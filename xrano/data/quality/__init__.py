"""What looks at a cohort or a store and says what is wrong with it."""
