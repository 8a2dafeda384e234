package store

// ReplicaStats says how a read replica is used.
type ReplicaStats struct {
	// Name is its host and port.
	Name string
	// Out says that it is not asked at the moment.
	Out bool
}
