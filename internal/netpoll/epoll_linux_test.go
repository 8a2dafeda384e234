//go:build linux && !portable

package netpoll_test

const hasEpoll = true
