"""What people look at: `report.html`, tables of the terminal, pictures, comparisons of runs."""
