"""CorefUD: CoNLL-U files with coreference."""
