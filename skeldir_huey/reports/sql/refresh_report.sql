-- Refreshes one view or summary while it can be read, as its owner, or says that somebody else does. Summaries by index attribution_allocations_time or attribution_events_valued.
select outcome, row_count from app.refresh_report(%(view)s, %(forced)s)
