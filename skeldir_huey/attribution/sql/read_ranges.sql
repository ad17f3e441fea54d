-- Reads ranges of an index by a bitmap, each block of the table once, or again in whatever way looks best. No table.
select set_config('enable_indexscan', case when %(by_block)s then 'off' else 'on' end, true)
