-- A decision that the proxy wrote itself, as the service role, holds for the parts of every role: clients cannot write one,
-- so it needs no proof of whose the transaction is.

ALTER TABLE pleiad.commit_record ADD COLUMN trusted boolean NOT NULL DEFAULT false;
