-- The codes of the channel taxonomy, deprecated ones too. By primary key.
select code from channel_taxonomy order by code
