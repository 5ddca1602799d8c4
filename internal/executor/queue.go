// Package executor runs plans: it holds a session's server connections and its transaction, passes replies on,
// merges those of several backends, and commits over them.
package executor

// Reply is what is done with the server's answer to one message.
type Reply uint8

// The three fates of PgBouncer's model: what the client asked for is forwarded, what pleiad asked for is skipped,
// and what pleiad answers by itself stands in line so that the order is kept.
const (
	Forward Reply = iota
	Skip
	Fake
	// Quiet swallows a success and forwards an error: for messages that the client's own statement needs.
	Quiet
)

// Owed is one answer that a server connection owes.
type Owed struct {
	Msg   byte // the message's type: 'P','B','D','E','C','S','Q' or 'F'; 0 for Fake
	Reply Reply
	// Statement is the id of the statement a Parse names: it is forgotten if the Parse fails or is skipped
	// after an error.
	Statement uint64
	// Evicted is the id of the statement that a Close of pleiad's own names: the server keeps it if the Close is
	// skipped after an error.
	Evicted uint64
	Frames  []byte // Fake: sent to the client when its turn comes
	// Client is the name that the client gave the statement or portal the message is about, Server the one that
	// the server knows: errors are to show the first.
	Client, Server string
	// Unnamed says that a Parse fills the unnamed statement, which holds nothing if it fails.
	Unnamed bool
	// Position, when set, translates error positions: the statement was rewritten.
	Position func(int) int
	// Table, when not 0, is what a RowDescription shows as the table of columns that are of one: home's oid.
	Table uint32
	// Shape is of the statement that a Describe asks about or whose rows an Execute with result formats Formats gives.
	Shape   *Shape
	Formats []int16
	// values translates the rows that come, once their columns are known.
	values *Values
	// Again says that the client's own text can run instead, should the server find fault with the message's: an error of
	// that kind is not forwarded if nothing has been. Notices are.
	Again bool
	// Report lets ParameterStatus through although the answer is skipped: COMMIT and ROLLBACK may change
	// settings that the client follows.
	Report bool
}

// Queue is the answers a connection owes, oldest first.
type Queue struct {
	items []Owed
	head  int
}

// Push appends an owed answer.
func (q *Queue) Push(o Owed) {
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	q.items = append(q.items, o)
}

// Len is how many answers are owed.
func (q *Queue) Len() int { return len(q.items) - q.head }

// Head returns the oldest one; the queue must not be empty.
func (q *Queue) Head() *Owed { return &q.items[q.head] }

// Last returns the newest one; the queue must not be empty.
func (q *Queue) Last() *Owed { return &q.items[len(q.items)-1] }

// Pop drops the oldest one.
func (q *Queue) Pop() {
	q.items[q.head] = Owed{}
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
}

// Reset drops all.
func (q *Queue) Reset() {
	clear(q.items)
	q.items, q.head = q.items[:0], 0
}
