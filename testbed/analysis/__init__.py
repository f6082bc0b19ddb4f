"""From records and captures to tables, figures and the report."""
