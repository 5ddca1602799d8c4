package catalog

// The SQL of distributed commits, for the executor's own connections.
const (
	// RecordCommitSQL runs in home's part of the transaction, as the user: the decision becomes durable with it.
	// $1 is the transaction's gid.
	RecordCommitSQL = "SELECT pleiad.record_commit($1)"
	// CommitRecordsSQL lists decisions whose parts may not all be committed yet: gid, owner. A prepared
	// transaction commits if its gid is here with the owner that pg_prepared_xacts shows; it is rolled back if
	// it is not and its coordinator is gone.
	CommitRecordsSQL = "SELECT gid, owner FROM pleiad.commit_record"
	// ForgetCommitSQL runs as the service role once every part is committed. $1 is the gid.
	ForgetCommitSQL = "DELETE FROM pleiad.commit_record WHERE gid = $1"
)
