-- Lets the server use more memory for this transaction's sorts, and leave out what only costs here: results of lookups are never asked for twice, and a statement of some seconds is not worth compiling. No table.
select set_config('work_mem', '64MB', true), set_config('enable_memoize', 'off', true), set_config('jit', 'off', true)
