"""Many runs that answer one question: arms, references, and what the difference is worth."""
