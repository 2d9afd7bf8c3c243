"""Effects, verdicts and two-stage inference: pure, no torch, no engine."""
