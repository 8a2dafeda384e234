//go:build !unix

package doctor

func descriptors() uint64 { return 0 }
