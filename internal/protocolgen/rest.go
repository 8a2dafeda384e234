package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const apiPrefix = "/api/v1"

// restCall is a call of the REST API.
type restCall struct {
	route          string // METHOD /path
	op             *huma.Operation
	body, response *huma.Schema // nil for none
}

// restCalls returns the calls by path and method.
func restCalls(spec *huma.OpenAPI) (all []restCall) {
	for _, path := range slices.Sorted(maps.Keys(spec.Paths)) {
		item := spec.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			c := restCall{route: op.Method + " " + strings.TrimPrefix(path, apiPrefix), op: op}
			if op.RequestBody != nil {
				c.body = op.RequestBody.Content["application/json"].Schema
			}
			for status, r := range op.Responses {
				if content := r.Content["application/json"]; status != "default" && content != nil {
					c.response = content.Schema
				}
			}
			all = append(all, c)
		}
	}
	return all
}
