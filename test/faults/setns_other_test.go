//go:build !linux

package faults

import "errors"

func setns(uintptr) error { return errors.ErrUnsupported }
