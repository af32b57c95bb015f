"""The tables of section 4 of the paper, made anew from a dataset."""
