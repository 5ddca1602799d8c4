// Package shardmap computes which shard a key value belongs to and which backend owns a shard.
//
// The hash is the one PostgreSQL itself uses for PARTITION BY HASH, bit for bit, so that a row that this
// package sends to shard i is accepted by the partition with remainder i and by no other. Two families
// exist: PostgreSQL's own operator classes, and the classes of [Murmur3SQL].
//
// PostgreSQL hashes the bytes of its own memory representation. The results here are those of a
// little-endian server whose database encoding is UTF8 (or SQL_ASCII); text in any other encoding, and
// big-endian servers, hash differently.
//
// Everything here is a pure function of its arguments or an immutable value: no net, clock or goroutine.
package shardmap
