-- Freezes the months that are old enough and moves the tenant's boundary behind them. Events by index attribution_events_valued.
select app.advance_retention(%(keep_days)s) as removed_before
