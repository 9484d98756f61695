"""`report.html`: a run in one file that opens offline. Python writes all text and tables, `*.js` draws the pictures."""
