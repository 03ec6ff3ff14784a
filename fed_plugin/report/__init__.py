"""Reports of benchmarks: tables, figures and failures as Markdown, CSV, JSON and one HTML page."""
