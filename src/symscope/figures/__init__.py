"""One file per figure: a pure function from a result table to a chart."""
