"""From a run folder to report.html, report.json and JUnit XML."""
