package config

import "time"

// MaxMessage is PostgreSQL's own limit of one message, PQ_LARGE_MESSAGE_LIMIT
// in src/include/libpq/libpq.h: MaxAllocSize - 1.
const MaxMessage Size = 0x3fffffff - 1

// Default is a configuration without backends; everything else is usable.
func Default() *Config {
	return &Config{
		Cluster:     "pleiad",
		Listen:      "127.0.0.1:6432",
		Credentials: Credentials{User: "postgres"},
		Pool: Pool{
			Mode:         PoolTransaction,
			Size:         20,
			QueueTimeout: Duration(10 * time.Second),
			IdleTimeout:  Duration(10 * time.Minute),
			MaxLifetime:  Duration(time.Hour),
		},
		Users:     map[string]User{},
		Databases: map[string]Database{},
		Auth: Auth{
			Method:                       AuthSCRAM,
			LoginTimeout:                 Duration(time.Minute),
			MaxUnauthenticated:           1024,
			MaxUnauthenticatedPerAddress: 256,
		},
		TLS: ClientTLS{Mode: ClientTLSDisable},
		Limits: Limits{
			MaxClients:           10000,
			MaxMessage:           MaxMessage,
			MaxQueryBytes:        16 * MiB,
			MaxPreparedPerClient: 1000,
			MaxPreparedPerServer: 200,
			PlanCacheBytes:       64 * MiB,
			GatherMaxBytes:       256 * MiB,
		},
		Timeouts: Timeouts{
			Connect:      Duration(5 * time.Second),
			TCPKeepalive: Duration(time.Minute),
			Cancel:       Duration(5 * time.Second),
			Shutdown:     Duration(30 * time.Second),
		},
		Sharding: Sharding{
			ShardCount:          32,
			Hash:                HashPostgres,
			DefaultDistribution: DistributionLocal,
		},
		Transactions: Transactions{
			RecoveryInterval: Duration(2 * time.Second),
			InDoubtAlert:     Duration(10 * time.Second),
		},
		Rebalancer: Rebalancer{
			MaxHold:     Duration(100 * time.Millisecond),
			MaxSlotWAL:  16 * GiB,
			MaxParallel: 2,
			Auto:        RebalancerAuto{By: BalanceShards, Interval: Duration(time.Minute), Threshold: 20},
		},
		Reads: Reads{
			Consistency:  ConsistencySession,
			MaxStaleness: Duration(5 * time.Second),
			Wait:         Duration(20 * time.Millisecond),
		},
		Replication: Replication{
			Default:     ReplicationAsync,
			Confirm:     1,
			SyncTimeout: Duration(10 * time.Second),
			WhenMissing: MissingWait,
		},
		Failover: Failover{
			Mode:   FailoverFollow,
			Detect: Duration(3 * time.Second),
			Wait:   Duration(10 * time.Second),
		},
		Log: Log{Level: LogInfo, Format: LogText},
	}
}

// setDefaults runs before an entry of `backends` is decoded.
func (b *Backend) setDefaults() {
	b.Weight = 1
	b.Primary.setDefaults()
	b.Primary.ReadWeight = 0
}

func (s *Server) setDefaults() { s.Port, s.ReadWeight = 5432, 1 }
