"""What several files of tests share: batches, the oracle, comparisons, new interpreters."""
