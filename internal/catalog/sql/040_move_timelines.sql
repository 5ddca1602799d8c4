-- The timelines of source and target when a move began, under the empty name. After a failover of either the move starts over:
-- the source's slot is gone then, and what the source was told to forget may be missing on the target. 0 is of a move that
-- began before this was noted; it starts over too.
ALTER TABLE pleiad.incoming ADD COLUMN source_timeline int NOT NULL DEFAULT 0, ADD COLUMN target_timeline int NOT NULL DEFAULT 0;
