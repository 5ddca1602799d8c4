package shardmap

// Type OIDs from PostgreSQL's pg_type.dat; fixed in every PostgreSQL release.
const (
	BoolOID        uint32 = 16
	ByteaOID       uint32 = 17
	NameOID        uint32 = 19
	Int8OID        uint32 = 20
	Int2OID        uint32 = 21
	Int4OID        uint32 = 23
	TextOID        uint32 = 25
	UnknownOID     uint32 = 705
	BpcharOID      uint32 = 1042
	VarcharOID     uint32 = 1043
	DateOID        uint32 = 1082
	TimestampOID   uint32 = 1114
	TimestamptzOID uint32 = 1184
	NumericOID     uint32 = 1700
	UUIDOID        uint32 = 2950
)

func isInteger(oid uint32) bool { return oid == Int2OID || oid == Int4OID || oid == Int8OID }

// isText is true of the types that share hash operator family text_ops. bpchar is not among them: its
// trailing blanks do not count.
func isText(oid uint32) bool { return oid == TextOID || oid == VarcharOID || oid == NameOID }
