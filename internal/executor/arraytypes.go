package executor

// arrayTypes are the array types of built-in types (pg_type.dat), which are the same on every server. Those of oids by
// name (regclass and its kin) are left out: what they name has another oid on each backend.
var arrayTypes = map[uint32]uint32{
	16: 1000, 17: 1001, 18: 1002, 19: 1003, 20: 1016, 21: 1005, 23: 1007, 25: 1009, 26: 1028, 27: 1010,
	28: 1011, 29: 1012, 114: 199, 142: 143, 600: 1017, 601: 1018, 602: 1019, 603: 1020, 604: 1027, 628: 629, 650: 651,
	700: 1021, 701: 1022, 718: 719, 774: 775, 790: 791, 829: 1040, 869: 1041, 1042: 1014, 1043: 1015, 1082: 1182,
	1083: 1183, 1114: 1115, 1184: 1185, 1186: 1187, 1266: 1270, 1560: 1561, 1562: 1563, 1700: 1231,
	2950: 2951, 3220: 3221, 3614: 3643, 3615: 3645, 3802: 3807, 3904: 3905, 3906: 3907, 3908: 3909,
	3910: 3911, 3912: 3913, 3926: 3927, 4072: 4073, 5069: 271,
}

// TextArrayOID is text[].
const TextArrayOID = 1009

// ArrayType is the array type of a built-in type whose values can travel as elements of an array in binary; ok is false
// for arrays, types of users and the few others: these travel as text.
func ArrayType(elem uint32) (oid uint32, ok bool) {
	oid, ok = arrayTypes[elem]
	return oid, ok
}
