//go:build !windows

package main

import "context"

const innerServer = "inner-server"

func serveInner(string)                                        {}
func (b *bench) metrics(ctx context.Context, r *result) error  { return nil }
func (b *bench) fairness(ctx context.Context, r *result) error { return nil }
